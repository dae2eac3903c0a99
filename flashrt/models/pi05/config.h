// SPDX-License-Identifier: Apache-2.0
// The configuration of a pi0.5 checkpoint: read from its files and the shapes of its tensors.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "flashrt/io/tensor_source.h"
#include "flashrt/models/normalization.h"
#include "flashrt/models/policy_model.h"
#include "flashrt/nn/gemma_stack.h"
#include "flashrt/nn/siglip_tower.h"

namespace flashrt::pi05 {

enum class Layout : std::uint8_t { lerobot, openpi };

struct Config {
  SiglipConfig vision;
  GemmaConfig prefix, expert;
  std::int64_t vocabulary = 0;
  std::int64_t action_dim = 32;  // A, of the model
  std::int64_t horizon = 0;      // C
  std::int64_t steps = 10;
  std::int64_t prompt_tokens = 200;
  double min_period = 4e-3, max_period = 4.0;
  bool accumulated_time = false;  // openpi adds dt in fp32; lerobot computes 1 + k dt in double
  bool state_in_prompt = true;
  std::int64_t state_prompt_dims = 0;
  std::int64_t state_dim = 0;         // 0: nothing says it
  std::int64_t robot_action_dim = 0;  // R <= A
  std::vector<std::string> cameras;
  ResizeRule resize{};
  float pad_value = -1;
};

// A checkpoint opened, its configuration known and its tensors under the names that `Model::weights` declares.
struct Checkpoint {
  Layout layout = Layout::lerobot;
  Config config;
  RobotProcessing processing;
  std::unique_ptr<TensorSource> tensors;
  std::filesystem::path tokenizer;  // empty: none
};

// Throws Error that names the file and what is wrong with it.
Checkpoint open_checkpoint(const std::filesystem::path& folder, const ModelOptions&);
// The shape of the public checkpoints ("full"), or a small one for tests ("tiny"), filled with random values.
Checkpoint random_checkpoint(const std::string& shape, const ModelOptions&);

// Declared name of a stored tensor; empty: left out.
std::string declared_name(const std::string& stored);

}  // namespace flashrt::pi05
