// SPDX-License-Identifier: Apache-2.0
// What every robot policy offers the session above it: facts, text preparation, and one bound call.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "flashrt/core/device.h"
#include "flashrt/core/program.h"
#include "flashrt/models/weight_loader.h"
#include "flashrt/ops/resize_image/resize_image.h"

namespace flashrt {

// Load-time choices. What is left at its default comes from the checkpoint.
struct ModelOptions {
  std::string precision = "bf16";      // f32, bf16, int8
  std::vector<std::string> keep{};     // GROUP=PRECISION exceptions
  std::int64_t views = 0;              // cameras; 0: as many as the checkpoint names
  std::int64_t horizon = 0;            // actions in a chunk; 0: the checkpoint's
  std::int64_t steps = 0;              // Euler steps; 0: the checkpoint's
  std::int64_t state_prompt_dims = 0;  // width that the state is padded to in the prompt; 0: the robot's own
  std::optional<bool> state_in_prompt{};
  std::optional<float> pad_value{};  // of image bars, after scaling to [-1, 1]
  std::int64_t state_dim = 0;        // width of the robot's state where statistics are longer (openpi); 0: theirs
  std::int64_t action_dim = 0;  // width of a robot action where the checkpoint does not say (openpi); 0: its statistics
  std::vector<std::int64_t>
      relative_dims{};                // actions that are relative to the state where the checkpoint does not say
  bool normalized_actions = false;    // actions as the model makes them; statistics may be missing
  std::string norm_asset{};           // openpi: which assets/<name>
  std::filesystem::path tokenizer{};  // SentencePiece model; empty: beside the checkpoint
  std::uint64_t random_seed = 0;      // of random weights
};

struct PolicyInfo {
  std::string model;                                          // "pi05"
  std::string source;                                         // checkpoint path, or "random weights"
  std::string precision;                                      // "int8,vision=bf16"
  std::vector<std::string> cameras;                           // in the order images are given
  std::map<std::string, std::string> renamed_observations{};  // the robot's own key -> the camera's name here
  std::int64_t state_dim = 0;                                 // 0: nothing says it, so any width is taken
  bool state_needed = false;
  std::int64_t action_dim = 0;        // width of a robot action
  std::int64_t model_action_dim = 0;  // width of the noise
  std::int64_t horizon = 0, steps = 0, image_size = 0, prompt_tokens = 0;
  std::int64_t parameters = 0;
  std::size_t weight_bytes = 0;  // packed
  double load_ms = 0, record_ms = 0;
  std::size_t programs = 0;
};

// One call's inputs, checked by the session.
struct PolicyInputs {
  std::vector<const ImageView*> images;  // one a camera, null where there is none
  std::span<const std::int32_t> tokens;
  std::span<const float> state;  // robot units; empty when none was given
  std::span<const float> noise;  // [horizon, model_action_dim], or empty: drawn from seed and stream
  std::uint64_t seed = 0, stream = 0;
};

class PolicyModel {
 public:
  virtual ~PolicyModel() = default;
  virtual const PolicyInfo& info() const = 0;
  // Token ids of a prompt, the state included where the model wants it so. Throws Error for a prompt that is too long
  // or has no tokenizer.
  virtual std::vector<std::int32_t> tokens(const std::string& prompt, std::span<const float> state) const = 0;
  // Sets the slots and picks the program; everything that can throw happens here.
  virtual Program& prepare(const PolicyInputs&) = 0;
  // After a replay: [horizon, action_dim] in robot units, and [horizon, model_action_dim] as the model made them.
  virtual Tensor actions() const = 0;
  virtual Tensor model_actions() const = 0;
  // Records the program of `views` cameras and `tokens` prompt tokens anew, with what check and compare need.
  virtual Program record(std::int64_t views, std::int64_t tokens, Reading) = 0;
};

}  // namespace flashrt
