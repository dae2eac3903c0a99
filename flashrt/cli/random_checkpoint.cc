// SPDX-License-Identifier: Apache-2.0
// flashrt random-checkpoint: random weights as a checkpoint folder, for benchmarks and tests without a download.
#include <fmt/format.h>

#include <memory>

#include "flashrt/api/flashrt.h"
#include "flashrt/cli/commands.h"

namespace flashrt::cli {
namespace {

struct Flags {
  std::string shape = "full", out;
  LoadOptions options;
};

}  // namespace

void add_random_checkpoint(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  CLI::App* sub =
      app.add_subcommand("random-checkpoint", "Write random weights as a checkpoint folder (lerobot layout)");
  sub->add_option("model", flags->options.config, "Which model")->capture_default_str();
  sub->add_option("--shape", flags->shape, "full: the public checkpoints' shape; tiny: a small one for tests")
      ->check(CLI::IsMember({"full", "tiny"}))
      ->capture_default_str();
  sub->add_option("--out,-o", flags->out, "Folder to write to; it must not hold a checkpoint yet")->required();
  sub->add_option("--seed", flags->options.random_seed, "Other seeds give other weights")->capture_default_str();
  sub->add_option("--precision", flags->options.precision, "Stored as bf16 (the default) or f32")
      ->check(CLI::IsMember({"bf16", "f32"}))
      ->capture_default_str();
  sub->add_option("--views", flags->options.views, "Cameras; 0: the shape's own");
  sub->add_option("--horizon", flags->options.horizon, "Actions in a chunk; 0: the shape's own");
  sub->add_option("--steps", flags->options.steps, "Flow steps; 0: the shape's own");
  sub->callback([flags] {
    save_random_model(flags->out, flags->shape, flags->options);
    fmt::print("{}: random {} weights of shape {}\n", flags->out, flags->options.config, flags->shape);
  });
}

}  // namespace flashrt::cli
