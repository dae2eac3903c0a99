// SPDX-License-Identifier: Apache-2.0
// flashrt bench: the time of whole calls, picture bytes to robot actions, as a share of the machine's measured peak.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <memory>

#include "flashrt/backends/cpu/peaks.h"
#include "flashrt/cli/commands.h"
#include "flashrt/cli/inputs.h"
#include "flashrt/cli/machine.h"
#include "flashrt/cli/model_flags.h"
#include "flashrt/cli/report.h"
#include "flashrt/core/readings.h"

namespace flashrt::cli {
namespace {

struct Flags {
  ModelFlags model;
  InputFlags inputs;
  int reps = 5, warmup = 1;
  bool stages = true, tail = false, json = false;
};

struct Measured {
  double first_ms = 0, load_to_action_ms = 0;
  std::vector<double> samples_ms, replay_ms, peaks_gops, loops_ms;
  DType math = DType::f32;  // the arithmetic with most flops
  Cost total;
  std::map<std::string, double> stage_ms;                     // vision, prefix, denoise
  std::map<std::string, std::map<std::string, int>> kernels;  // op -> row -> launches
  LatencyStats stats, replay_stats, loop_stats;
  double peak_gops = 0;

  double share(double ms) const { return total.flops / (ms * 1e6) / peak_gops; }
};

// The part of a forward that a launch belongs to; everything behind the prefix is denoising.
std::string stage_of(std::string_view label) {
  std::string_view scope = label.substr(0, label.find('.'));
  return scope == "vision" || scope == "prefix" ? std::string(scope) : "denoise";
}

DType dominant_math(const Program& program) {
  std::map<DType, double> flops;
  for (const Step& s : program.steps()) flops[s.cost.math] += s.cost.flops;
  return std::max_element(flops.begin(), flops.end(), [](auto& a, auto& b) { return a.second < b.second; })->first;
}

Measured measure(const Flags& flags, Policy& policy, const Observation& observation,
                 std::chrono::steady_clock::time_point start) {
  Measured m;
  m.first_ms = policy.predict(observation).ms;
  m.load_to_action_ms = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
  Program& program = policy.prepare(observation);
  m.math = dominant_math(program);
  m.total = program.total();
  for (const Step& s : program.steps()) ++m.kernels[std::string(s.op)][std::string(s.kernel)];
  for (int i = 1; i < flags.warmup; ++i) policy.predict(observation);
  // The peak is taken beside every call, since a machine's clock and its other users change.
  auto peak = [&] { m.peaks_gops.push_back(cpu::measure_math_peak(policy.device(), m.math)); };
  peak();
  // A register-only loop as long as a call: what its times spread is the machine's own doing.
  std::int64_t loop_rounds = 100'000;
  auto loop_ms = [&] { return cpu::run_math(policy.device(), m.math, loop_rounds).seconds * 1e3; };
  if (flags.tail)
    loop_rounds =
        static_cast<std::int64_t>(policy.predict(observation).ms / loop_ms() * static_cast<double>(loop_rounds));
  for (int i = 0; i < flags.reps; ++i) {
    Chunk chunk = policy.predict(observation);
    m.samples_ms.push_back(chunk.ms);
    m.replay_ms.push_back(chunk.replay_ms);
    if (flags.tail) m.loops_ms.push_back(loop_ms());
    peak();
  }
  m.peak_gops = *std::max_element(m.peaks_gops.begin(), m.peaks_gops.end());
  m.stats = latency_stats(m.samples_ms);
  m.replay_stats = latency_stats(m.replay_ms);
  m.loop_stats = latency_stats(m.loops_ms);
  if (flags.stages)
    for (const StepTime& t : explain(program, 2)) m.stage_ms[stage_of(t.label)] += t.us / 1e3;
  return m;
}

OrderedJson json_of(const Flags& flags, Policy& policy, const Measured& m) {
  const PolicyInfo& info = policy.info();
  auto figures = [](const std::vector<double>& values) {
    OrderedJson list = OrderedJson::array();
    for (double v : values) list.push_back(figure(v));
    return list;
  };
  double rss = peak_rss_mib(), weights = static_cast<double>(info.weight_bytes) / (1 << 20);
  OrderedJson json = {
      {"model", info.model},
      {"shape", flags.model.random ? flags.model.shape : ""},
      {"source", info.source},
      {"precision", info.precision},
      {"threads", policy.device().info().workers},
      {"views", info.cameras.size()},
      {"prompt_tokens", flags.inputs.prompt_tokens},
      {"steps", info.steps},
      {"horizon", info.horizon},
      {"min_ms", figure(m.stats.min_ms)},
      {"p50_ms", figure(m.stats.p50_ms)},
      {"p95_ms", figure(m.stats.p95_ms)},
      {"p99_ms", figure(m.stats.p99_ms)},
      {"replay_p50_ms", figure(m.replay_stats.p50_ms)},
      {"first_ms", figure(m.first_ms)},
      {"load_ms", figure(info.load_ms)},
      {"record_ms", figure(info.record_ms)},
      {"load_to_action_ms", figure(m.load_to_action_ms)},
      {"flops", m.total.flops},
      {"bytes", m.total.bytes},
      {"math", name(m.math)},
      {"peak_gops", figure(m.peak_gops)},
      {"share_of_peak", figure(m.share(m.stats.p50_ms))},
      {"share_of_peak_min", figure(m.share(m.stats.min_ms))},
      {"parameters", info.parameters},
      {"weight_mib", figure(weights)},
      {"rss_mib", figure(rss)},
      {"rss_over_weights", figure(rss / weights)},
  };
  for (const auto& [stage, ms] : m.stage_ms) json[stage + "_ms"] = figure(ms);
  if (flags.tail) {
    json["loop_p50_ms"] = figure(m.loop_stats.p50_ms);
    json["loop_p95_ms"] = figure(m.loop_stats.p95_ms);
    json["loop_p99_ms"] = figure(m.loop_stats.p99_ms);
  }
  json["kernels"] = m.kernels;
  json["cpu"] = policy.device().info().model;
  json["version"] = version();
  json["samples_ms"] = figures(m.samples_ms);
  if (flags.tail) json["loop_samples_ms"] = figures(m.loops_ms);
  json["peak_samples_gops"] = figures(m.peaks_gops);
  return json;
}

void print_report(const Flags& flags, Policy& policy, const Measured& m) {
  const PolicyInfo& info = policy.info();
  fmt::print("{}\n", headline(info, policy.device().info()));
  fmt::print("  {} views, {} prompt tokens, {} steps, horizon {}\n", info.cameras.size(), flags.inputs.prompt_tokens,
             info.steps, info.horizon);
  fmt::print("  call       min {:.3f} ms, p50 {:.3f} ms, p95 {:.3f} ms, p99 {:.3f} ms ({} calls)\n", m.stats.min_ms,
             m.stats.p50_ms, m.stats.p95_ms, m.stats.p99_ms, m.stats.count);
  if (flags.tail)
    fmt::print(
        "  tail       p99 / p50 {:.2f}; {:.2f} of a register-only loop as long as a call (p50 {:.3f} ms, p99 {:.3f} "
        "ms)\n",
        m.stats.p99_ms / m.stats.p50_ms, m.loop_stats.p99_ms / m.loop_stats.p50_ms, m.loop_stats.p50_ms,
        m.loop_stats.p99_ms);
  fmt::print(
      "  work       {:.3f} GFLOP, {:.3f} GB; measured {} peak {:.1f} GOP/s; share of peak {:.3f} (best call {:.3f})\n",
      m.total.flops / 1e9, m.total.bytes / 1e9, name(m.math), m.peak_gops, m.share(m.stats.p50_ms),
      m.share(m.stats.min_ms));
  for (const auto& [stage, ms] : m.stage_ms) fmt::print("  {:<10} {:.3f} ms, launch by launch\n", stage, ms);
  fmt::print("  load       {:.1f} ms, {} programs recorded in {:.1f} ms; start to first action {:.1f} ms\n",
             info.load_ms, info.programs, info.record_ms, m.load_to_action_ms);
  fmt::print("  memory     {:.1f} MiB packed weights, {:.1f} MiB at most in use\n",
             static_cast<double>(info.weight_bytes) / (1 << 20), peak_rss_mib());
}

void bench(const Flags& flags) {
  auto start = std::chrono::steady_clock::now();
  Policy policy = flags.model.load();
  Inputs inputs = Inputs::read_or_make_up(flags.inputs, policy.info());
  Measured m = measure(flags, policy, inputs.observation(), start);
  if (flags.json)
    print_json(json_of(flags, policy, m));
  else
    print_report(flags, policy, m);
}

}  // namespace

void add_bench(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  CLI::App* sub = app.add_subcommand("bench", "Time whole calls, as a share of the machine's measured peak");
  sub->add_option("model", flags->model.options.config, "Which model")->capture_default_str();
  flags->model.add_to(*sub);
  flags->inputs.add_made_up_to(*sub);
  sub->add_option("--reps", flags->reps, "Calls to time")->check(CLI::PositiveNumber)->capture_default_str();
  sub->add_option("--warmup", flags->warmup, "Calls before them")->check(CLI::PositiveNumber)->capture_default_str();
  sub->add_flag("--stages,!--no-stages", flags->stages, "Time vision, prefix and denoising too (the default)");
  sub->add_flag("--tail", flags->tail,
                "Follow every call by a register-only loop of its length, whose p99 / p50 is the machine's own");
  sub->add_flag("--json", flags->json, "Write one JSON object");
  sub->callback([flags] { bench(*flags); });
}

}  // namespace flashrt::cli
