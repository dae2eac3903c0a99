// SPDX-License-Identifier: Apache-2.0
#include "flashrt/models/pi05/options.h"

#include "flashrt/core/error.h"
#include "flashrt/core/packed_rhs.h"
#include "flashrt/models/pi05/pi05.h"

namespace flashrt::pi05 {
namespace {

// The width of the robot's state, where the options say it and the checkpoint leaves it open.
void apply_state_options(const ModelOptions& o, Layout layout, const RobotProcessing& processing, Config& c) {
  std::int64_t covered = processing.state.width();
  if (o.state_dim) {
    require(layout == Layout::openpi || covered == 0 || o.state_dim == covered,
            "state_dim is {}; this checkpoint's statistics say {}, so leave the option out", o.state_dim, covered);
    require(covered == 0 || o.state_dim <= covered,
            "state_dim is {}; this checkpoint's statistics have {} dimensions, a state cannot be wider", o.state_dim,
            covered);
    c.state_dim = o.state_dim;
  }
  c.state_prompt_dims = o.state_prompt_dims;
  require(o.state_prompt_dims == 0 || o.state_prompt_dims >= c.state_dim,
          "state_prompt_dims is {}; the state has {} dimensions already, and none of them is cut off",
          o.state_prompt_dims, c.state_dim);
}

void apply_action_options(const ModelOptions& o, Layout layout, const RobotProcessing& processing, Config& c) {
  std::int64_t covered = processing.action.width();
  require(layout == Layout::openpi || o.normalized_actions || covered == 0 || covered == c.robot_action_dim,
          "config.json says an action of {} dimensions, its statistics have {}", c.robot_action_dim, covered);
  require(!o.action_dim || layout == Layout::openpi || o.action_dim == c.robot_action_dim,
          "action_dim is {}; it is for openpi checkpoints, config.json says {}, so leave the option out", o.action_dim,
          c.robot_action_dim);
  if (o.normalized_actions) c.robot_action_dim = c.action_dim;
  if (!o.action_dim) return;
  require(o.action_dim > 0 && o.action_dim <= c.robot_action_dim,
          "action_dim is {}; this checkpoint's actions have {} dimensions", o.action_dim, c.robot_action_dim);
  c.robot_action_dim = o.action_dim;
}

// Programs of every number of cameras and tokens are recorded at load, with all their steps: what a small file may ask
// for is bounded by their sum.
void check_recorded(const Config& c) {
  std::int64_t programs = std::ssize(c.cameras) * (round_up(c.prompt_tokens, kPromptBucket) / kPromptBucket);
  std::int64_t layers = c.vision.depth + c.prefix.depth + c.steps * c.expert.depth;
  require(
      layers + kProgramLayers <= kMaxRecorded / programs,
      "{} cameras (input_features), {} prompt tokens (tokenizer_max_length) and {} steps (num_inference_steps) make "
      "{} programs of {} layers, too many to record: at most {} layers, each program counted as {} more; ask for "
      "fewer steps or views",
      c.cameras.size(), c.prompt_tokens, c.steps, programs, layers, kMaxRecorded, kProgramLayers);
}

void apply_sizes(const ModelOptions& o, Config& c) {
  auto within = [](const char* what, std::int64_t value, std::int64_t most) {
    require(value >= 0 && value <= most, "{} is {}; it must be 1 to {}", what, value, most);
  };
  within("horizon", o.horizon, kMaxHorizon);
  within("steps", o.steps, kMaxSteps);
  within("state_prompt_dims", o.state_prompt_dims, kMaxDim);
  within("state_dim", o.state_dim, kMaxDim);
  if (o.horizon) c.horizon = o.horizon;
  if (o.steps) c.steps = o.steps;
  if (o.state_in_prompt) c.state_in_prompt = *o.state_in_prompt;
  if (o.pad_value) c.pad_value = *o.pad_value;
  require(c.horizon > 0,
          "the checkpoint does not say how many actions a chunk has: write \"action_horizon\" into its config.json or "
          "give the option horizon (openpi's DROID configuration has 15, its LIBERO one 10)");
  require(o.views >= 0 && o.views <= static_cast<std::int64_t>(c.cameras.size()),
          "{} views asked for, the checkpoint has {} cameras", o.views, c.cameras.size());
  if (o.views) c.cameras.resize(static_cast<std::size_t>(o.views));
  require(!c.cameras.empty(), "the checkpoint names no camera (input_features of type VISUAL)");
}

void apply_relative(const ModelOptions& o, RobotProcessing& p, const Config& c) {
  if (p.relative_rule && !o.normalized_actions) p.relative = p.relative_rule->mask(c.robot_action_dim);
  if (o.relative_dims.empty()) return;
  require(!o.normalized_actions, "relative_dims are of robot units; they do not go with normalized_actions");
  require(!p.relative_rule, "relative_dims are given, but the checkpoint says itself which actions are relative");
  p.relative.assign(static_cast<std::size_t>(c.robot_action_dim), false);
  for (std::int64_t d : o.relative_dims) {
    require(d >= 0 && d < c.robot_action_dim, "relative action dimension {} is outside [0, {})", d, c.robot_action_dim);
    p.relative[static_cast<std::size_t>(d)] = true;
  }
}

}  // namespace

void apply_options(const ModelOptions& options, Checkpoint& checkpoint) {
  Config& c = checkpoint.config;
  apply_sizes(options, c);
  apply_state_options(options, checkpoint.layout, checkpoint.processing, c);
  apply_action_options(options, checkpoint.layout, checkpoint.processing, c);
  if (options.normalized_actions) checkpoint.processing.action = {};
  apply_relative(options, checkpoint.processing, c);
  check_recorded(c);
}

}  // namespace flashrt::pi05
