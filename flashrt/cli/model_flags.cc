// SPDX-License-Identifier: Apache-2.0
#include "flashrt/cli/model_flags.h"

#include "flashrt/core/settings.h"

namespace flashrt::cli {

void ModelFlags::add_to(CLI::App& app) {
  auto* folder = app.add_option("--checkpoint,-c", checkpoint, "Checkpoint folder (lerobot or openpi PyTorch layout)");
  auto* made_up = app.add_flag("--random", random, "Random weights instead of a checkpoint");
  made_up->excludes(folder);
  app.add_option("--shape", shape, "Shape of random weights")
      ->check(CLI::IsMember({"full", "tiny"}))
      ->capture_default_str();
  add_load_options(app, options, kernels);
}

void add_load_options(CLI::App& app, LoadOptions& o, std::vector<std::string>& kernels) {
  app.add_option("--precision", o.precision, "f32, bf16 or int8; \"int8,vision=bf16\" sets a layer group apart")
      ->capture_default_str();
  app.add_option("--keep", o.keep, "GROUP=PRECISION: a layer group's own precision (vision, prefix, expert)")
      ->allow_extra_args(false);
  app.add_option("--threads", o.threads, "CPU workers; 0: one for every core this process may use")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_flag("--pin,!--no-pin", o.pin, "Pin workers to cores (the default)");
  app.add_option("--isa", o.isa, "Highest instruction set to use: portable, avx2 or avx512");
  app.add_option("--kernel", kernels, "OP=ROW: the only kernel row allowed for an op")->allow_extra_args(false);
  app.add_option("--views", o.views, "Cameras; 0: as many as the checkpoint names")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--steps", o.steps, "Flow steps; 0: the checkpoint's")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--horizon", o.horizon, "Actions in a chunk; 0: the checkpoint's")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--tokenizer", o.tokenizer, "SentencePiece file; by default tokenizer.model beside the checkpoint");
  app.add_option("--norm-asset", o.norm_asset, "openpi checkpoints: which folder of assets holds the statistics");
  // A function, since the library would set an optional to false where the flag is not given.
  app.add_flag_function(
      "--state-in-prompt,!--no-state-in-prompt", [&o](std::int64_t count) { o.state_in_prompt = count > 0; },
      "Whether the state is part of the prompt; by default as the checkpoint says");
  app.add_option("--state-prompt-dims", o.state_prompt_dims, "Width that the state is padded to in the prompt");
  app.add_option("--state-dim", o.state_dim, "Width of the robot's state where statistics are longer (openpi)");
  app.add_option("--action-dim", o.action_dim, "Width of a robot action where the checkpoint does not say (openpi)");
  app.add_option("--relative-dims", o.relative_dims, "Actions relative to the state, as 0,1,2, where it does not say")
      ->delimiter(',')
      ->allow_extra_args(false);
  app.add_option("--pad-value", o.pad_value, "Value of the bars beside a resized picture, -1 to 1");
  app.add_flag("--normalized-actions", o.normalized_actions, "Actions as the model makes them, without statistics");
}

LoadOptions ModelFlags::load_options() const {
  LoadOptions o = options;
  for (const std::string& text : kernels) parse_kernels(text, "--kernel", o.kernels);
  return o;
}

Policy ModelFlags::load(const LoadOptions& o) const {
  if (random) return random_model(shape, o);
  require(!checkpoint.empty(), "name a checkpoint folder with --checkpoint, or use --random");
  return load_model(checkpoint, o);
}

}  // namespace flashrt::cli
