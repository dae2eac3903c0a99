// SPDX-License-Identifier: Apache-2.0
// What programs include: flashrt::load_model(checkpoint, options) and then policy.predict(observation).
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "flashrt/core/error.h"
#include "flashrt/models/policy_model.h"
#include "flashrt/session/policy.h"

namespace flashrt {

struct LoadOptions : ModelOptions {
  std::string config = "pi05";  // model name, see known_models()
  int threads = 0;              // CPU workers; 0: one for every core this process may use
  bool pin = true;              // pin workers to cores
  std::string isa{};            // highest instruction set to use: portable, avx2, avx512; empty: the best there is
  std::map<std::string, std::string, std::less<>> kernels{};  // op -> the only kernel row allowed for it
  std::uint64_t seed = 0;                                     // of the policy's own noise
};

// Loads a checkpoint folder (lerobot or openpi PyTorch layout) and records its programs; nothing is left to do at the
// first call. Throws Error that names the file, tensor, statistic or option at fault.
Policy load_model(const std::filesystem::path& checkpoint, const LoadOptions& options = {});
// Random weights of the shape "full" (the public checkpoints) or "tiny".
Policy random_model(const std::string& shape, const LoadOptions& options = {});
// Writes random weights as a checkpoint folder in the lerobot layout.
void save_random_model(const std::filesystem::path& folder, const std::string& shape, const LoadOptions& options = {});

const char* version();  // "0.1.0"

}  // namespace flashrt
