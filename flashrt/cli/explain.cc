// SPDX-License-Identifier: Apache-2.0
// flashrt explain: where a call's time goes, launch by launch or in groups, against the machine's measured bounds.
#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "flashrt/backends/cpu/peaks.h"
#include "flashrt/cli/commands.h"
#include "flashrt/cli/inputs.h"
#include "flashrt/cli/model_flags.h"
#include "flashrt/cli/report.h"
#include "flashrt/cli/table.h"
#include "flashrt/core/readings.h"

namespace flashrt::cli {
namespace {

struct Flags {
  ModelFlags model;
  InputFlags inputs;
  bool launches = false, json = false;
  int rounds = 3;
};

// Other users of the machine can only lower a measured peak, so it is taken before and after.
cpu::Peaks larger(const cpu::Peaks& a, const cpu::Peaks& b) {
  return {std::max(a.f32, b.f32), std::max(a.bf16, b.bf16), std::max(a.i8, b.i8), std::max(a.dram_read, b.dram_read)};
}

// The least time the machine could take, from its measured peaks.
double bound_us(const Cost& cost, const cpu::Peaks& peaks) {
  return std::max(cost.flops / peaks.of(cost.math), cost.bytes / peaks.dram_read) / 1e3;
}

StepGroup as_group(const StepTime& t) { return {t.label, t.op, t.kernel, t.cost, t.us, 1}; }

void explain_policy(const Flags& flags) {
  Policy policy = flags.model.load();
  Inputs inputs = Inputs::read_or_make_up(flags.inputs, policy.info());
  Program& program = policy.prepare(inputs.observation());
  cpu::Peaks peaks = cpu::measure_peaks(policy.device());
  program.replay();
  std::vector<StepTime> times = explain(program, flags.rounds);
  peaks = larger(peaks, cpu::measure_peaks(policy.device()));
  std::vector<StepGroup> groups;
  if (flags.launches)
    for (const StepTime& t : times) groups.push_back(as_group(t));
  else
    groups = group_steps(times);

  double us = 0, bound = 0;
  Cost total = program.total();
  for (const StepTime& t : times) {
    us += t.us;
    bound += bound_us(t.cost, peaks);
  }
  if (flags.json) {
    OrderedJson json = to_json(policy.info(), policy.device().info());
    json["peaks"] = {{"f32_gops", figure(peaks.f32)},
                     {"bf16_gops", figure(peaks.bf16)},
                     {"i8_gops", figure(peaks.i8)},
                     {"dram_gbps", figure(peaks.dram_read)}};
    OrderedJson list = OrderedJson::array();
    for (const StepGroup& g : groups)
      list.push_back({{"label", g.label},
                      {"op", g.op},
                      {"kernel", g.kernel},
                      {"math", name(g.cost.math)},
                      {"calls", g.count},
                      {"ms", figure(g.us / 1e3)},
                      {"flops", g.cost.flops},
                      {"bytes", g.cost.bytes},
                      {"bound_ms", figure(bound_us(g.cost, peaks) / 1e3)},
                      {"share_of_bound", figure(bound_us(g.cost, peaks) / g.us)}});
    json["launches"] = program.steps().size();
    json["ms"] = figure(us / 1e3);
    json["bound_ms"] = figure(bound / 1e3);
    json["groups"] = std::move(list);
    return print_json(json);
  }
  fmt::print("{}{}\n", headline(policy.info(), policy.device().info()), inputs.made_up() ? ", made-up inputs" : "");
  fmt::print("measured peaks: f32 {:.1f}, bf16 {:.1f}, i8 {:.1f} GOP/s, memory {:.1f} GB/s\n", peaks.f32, peaks.bf16,
             peaks.i8, peaks.dram_read);
  Table table({"<label", "<op", "<kernel", "calls", "ms", "share", "GFLOP", "GB", "bound ms", "of bound"});
  auto add = [&](const std::string& label, std::string_view op, std::string_view kernel, std::size_t calls, double t,
                 const Cost& cost, double least) {
    table.row({label, std::string(op), std::string(kernel), std::to_string(calls), fmt::format("{:.3f}", t / 1e3),
               fmt::format("{:.1f} %", 100 * t / us), fmt::format("{:.3f}", cost.flops / 1e9),
               fmt::format("{:.4f}", cost.bytes / 1e9), fmt::format("{:.3f}", least / 1e3),
               fmt::format("{:.0f} %", 100 * least / t)});
  };
  for (const StepGroup& g : groups)
    add(g.label, g.op, g.kernel, static_cast<std::size_t>(g.count), g.us, g.cost, bound_us(g.cost, peaks));
  add("total", "", "", times.size(), us, total, bound);
  table.print();
  fmt::print(
      "Each launch is timed alone, with a barrier around it. The bound is the larger of flops at the measured peak "
      "and\n"
      "of least traffic at the measured memory bandwidth; what stays in a cache can be faster than it.\n");
}

}  // namespace

void add_explain(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  CLI::App* sub = app.add_subcommand("explain", "Where a call's time goes, against the machine's bounds");
  flags->model.add_to(*sub);
  flags->inputs.add_to(*sub);
  flags->inputs.add_made_up_to(*sub);
  sub->add_flag("--launches", flags->launches, "Every launch in order, not groups of equal ones");
  sub->add_option("--rounds", flags->rounds, "Times every launch is timed; the best counts")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  sub->add_flag("--json", flags->json, "Write one JSON object");
  sub->callback([flags] { explain_policy(*flags); });
}

}  // namespace flashrt::cli
