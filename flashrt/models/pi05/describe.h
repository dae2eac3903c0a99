// SPDX-License-Identifier: Apache-2.0
// What a pi0.5 checkpoint says about itself, without loading its weights.
#pragma once

#include <filesystem>
#include <vector>

#include "flashrt/models/registry.h"

namespace flashrt::pi05 {

// Opens the checkpoint, reads its configuration, statistics and tokenizer and checks every tensor's name and shape.
// Throws Error.
std::vector<CheckpointFact> describe_checkpoint(const std::filesystem::path& folder, const ModelOptions&);

}  // namespace flashrt::pi05
