// SPDX-License-Identifier: Apache-2.0
// Writes a pi0.5 checkpoint of random weights: benchmarks and tests without a download.
#pragma once

#include <filesystem>
#include <string>

#include "flashrt/models/policy_model.h"

namespace flashrt::pi05 {

// A lerobot folder of bf16 weights (f32 with precision f32): config.json, model.safetensors, both processor files and
// their statistics, without a tokenizer. The folder must not hold a config.json yet. Throws Error.
void save_random_checkpoint(const std::filesystem::path& folder, const std::string& shape, const ModelOptions&);

}  // namespace flashrt::pi05
