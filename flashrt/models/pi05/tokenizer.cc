// SPDX-License-Identifier: Apache-2.0
#include "flashrt/models/pi05/tokenizer.h"

#include "flashrt/core/error.h"
#include "flashrt/core/settings.h"

namespace flashrt::pi05 {

std::filesystem::path find_tokenizer(const std::filesystem::path& folder, const ModelOptions& options) {
  if (!options.tokenizer.empty()) return options.tokenizer;
  for (const char* name : {"tokenizer.model", "paligemma_tokenizer.model"})
    if (std::filesystem::exists(folder / name)) return folder / name;
  return settings().tokenizer;
}

std::optional<Tokenizer> open_tokenizer(const Checkpoint& checkpoint) {
  if (checkpoint.tokenizer.empty()) return std::nullopt;
  std::optional<Tokenizer> tokenizer(Tokenizer::load(checkpoint.tokenizer));
  require(tokenizer->size() <= checkpoint.config.vocabulary,
          "{}: the tokenizer has {} pieces, the model's embedding only {} rows; it belongs to another model",
          checkpoint.tokenizer.string(), tokenizer->size(), checkpoint.config.vocabulary);
  return tokenizer;
}

}  // namespace flashrt::pi05
