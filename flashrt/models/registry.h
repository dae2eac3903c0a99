// SPDX-License-Identifier: Apache-2.0
// The models this build knows, by name; other code adds its own.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "flashrt/models/policy_model.h"

namespace flashrt {

// One line of what a checkpoint says about itself.
struct CheckpointFact {
  std::string name, value;
};

struct ModelEntry {
  std::string name;
  std::string description;
  // Loads a checkpoint folder.
  std::function<std::unique_ptr<PolicyModel>(Device&, const std::filesystem::path&, const ModelOptions&)> load;
  // Random weights of a named shape ("full", "tiny"), for benchmarks without a checkpoint.
  std::function<std::unique_ptr<PolicyModel>(Device&, const std::string& shape, const ModelOptions&)> random;
  // Writes such weights as a checkpoint folder in the layout that load() reads.
  std::function<void(const std::filesystem::path& folder, const std::string& shape, const ModelOptions&)> save_random;
  // Reads a checkpoint's files and checks every tensor's name and shape, without loading it; may be left unset.
  std::function<std::vector<CheckpointFact>(const std::filesystem::path&, const ModelOptions&)> describe;
};

// Throws Error when the name is taken.
void register_model(ModelEntry);
// Throws Error that lists the known names.
const ModelEntry& find_model(const std::string& name);
std::vector<ModelEntry> known_models();

}  // namespace flashrt
