// SPDX-License-Identifier: Apache-2.0
// flashrt run: one action chunk from pictures, prompt and state.
#include <fmt/format.h>

#include <memory>

#include "flashrt/cli/commands.h"
#include "flashrt/cli/inputs.h"
#include "flashrt/cli/model_flags.h"
#include "flashrt/cli/report.h"
#include "flashrt/cli/table.h"

namespace flashrt::cli {
namespace {

struct Flags {
  ModelFlags model;
  InputFlags inputs;
  int reps = 1;
  bool json = false;
};

void print_chunk(const Chunk& chunk) {
  std::vector<std::string> titles{"step"};
  for (std::int64_t d = 0; d < chunk.width; ++d) titles.push_back(fmt::format("a{}", d));
  Table table(std::move(titles));
  for (std::int64_t t = 0; t < chunk.horizon; ++t) {
    std::vector<std::string> cells{std::to_string(t)};
    for (std::int64_t d = 0; d < chunk.width; ++d) cells.push_back(fmt::format("{:.4f}", chunk(t, d)));
    table.row(std::move(cells));
  }
  table.print();
}

void run(const Flags& flags) {
  Policy policy = flags.model.load();
  Inputs inputs = Inputs::read(flags.inputs);
  Observation observation = inputs.observation();
  Chunk chunk = policy.predict(observation);
  for (int i = 1; i < flags.reps; ++i) policy.predict(observation);
  LatencyStats stats = policy.latency();
  const PolicyInfo& info = policy.info();
  if (flags.json) {
    OrderedJson json = to_json(info, policy.device().info());
    json["actions"] = rows_json(chunk.actions, chunk.width);
    json["ms"] = figure(chunk.ms);
    json["replay_ms"] = figure(chunk.replay_ms);
    json["latency"] = to_json(stats);
    return print_json(json);
  }
  fmt::print("{}\n", headline(info, policy.device().info()));
  print_chunk(chunk);
  fmt::print("latency {:.3f} ms, of it {:.3f} ms the program; loaded in {:.1f} ms, {} programs recorded in {:.1f} ms\n",
             chunk.ms, chunk.replay_ms, info.load_ms, info.programs, info.record_ms);
  if (stats.count > 1)
    fmt::print("{} calls: min {:.3f} ms, p50 {:.3f} ms, p95 {:.3f} ms, p99 {:.3f} ms\n", stats.count, stats.min_ms,
               stats.p50_ms, stats.p95_ms, stats.p99_ms);
}

}  // namespace

void add_run(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  CLI::App* sub = app.add_subcommand("run", "Actions from pictures, prompt and state");
  flags->model.add_to(*sub);
  flags->inputs.add_to(*sub);
  sub->add_option("--reps", flags->reps, "Calls to make; the first one's actions are shown")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  sub->add_flag("--json", flags->json, "Write one JSON object");
  sub->callback([flags] { run(*flags); });
}

}  // namespace flashrt::cli
