// SPDX-License-Identifier: Apache-2.0
// Where a pi0.5 checkpoint's tokenizer is, and whether it is the model's.
#pragma once

#include <filesystem>
#include <optional>

#include "flashrt/models/pi05/config.h"
#include "flashrt/text/sentencepiece.h"

namespace flashrt::pi05 {

// The option's file, the one beside the checkpoint or the settings'; empty: none.
std::filesystem::path find_tokenizer(const std::filesystem::path& folder, const ModelOptions&);
// Throws Error naming the file when it is no tokenizer, or has more pieces than the model's embedding has rows.
std::optional<Tokenizer> open_tokenizer(const Checkpoint&);

}  // namespace flashrt::pi05
