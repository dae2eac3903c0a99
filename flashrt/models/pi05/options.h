// SPDX-License-Identifier: Apache-2.0
// What a user's options change in a checkpoint's configuration, and the bounds of both.
#pragma once

#include "flashrt/models/pi05/config.h"

namespace flashrt::pi05 {

inline constexpr std::int64_t kMaxHorizon = 4096, kMaxSteps = 1000, kMaxPrompt = 1024, kMaxDim = 4096, kMaxCameras = 8;
// Layers in all programs together, which are recorded at load, a program itself counted as kProgramLayers: 13 KB each,
// so 0.8 GB at most. Three cameras, 200 tokens and 10 steps of the public checkpoints are 14,625.
inline constexpr std::int64_t kMaxRecorded = 60'000, kProgramLayers = 150;

// Throws Error that names the option, or the configuration's keys, when they are out of bounds or contradict the files.
void apply_options(const ModelOptions&, Checkpoint&);

}  // namespace flashrt::pi05
