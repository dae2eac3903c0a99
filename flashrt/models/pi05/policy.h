// SPDX-License-Identifier: Apache-2.0
// A pi0.5 checkpoint loaded and recorded.
#pragma once

#include <memory>

#include "flashrt/models/pi05/config.h"

namespace flashrt::pi05 {

// Checks, loads and packs the weights, folds constants, and records one program for every number of cameras and every
// prompt length (in steps of kPromptBucket tokens). Throws Error.
std::unique_ptr<PolicyModel> make_policy(Device&, Checkpoint, const ModelOptions&);

}  // namespace flashrt::pi05
