// SPDX-License-Identifier: Apache-2.0
// A SentencePiece tokenizer file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace flashrt {

class Tokenizer {
 public:
  // The ids that a model expects of the pieces that stand for no text.
  struct Special {
    int pad = 0, eos = 1, bos = 2, unk = 3;
  };

  // Throws Error naming the file when it cannot be read, is no SentencePiece model, has other special ids, or changes
  // the text before splitting it (adds or removes spaces, folds characters): the ids would not be the model's.
  static Tokenizer load(const std::filesystem::path& file, const Special& special);
  static Tokenizer load(const std::filesystem::path& file) { return load(file, Special{}); }
  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  // Ids of the text alone, without bos or eos. May be called from several threads. Throws Error when it is not UTF-8.
  std::vector<std::int32_t> encode(std::string_view text) const;
  std::int32_t bos() const { return special_.bos; }
  std::int32_t eos() const { return special_.eos; }
  std::int64_t size() const;                 // pieces
  std::string piece(std::int32_t id) const;  // throws Error when there is no such id

 private:
  struct Model;
  Tokenizer(std::unique_ptr<const Model> model, const Special& special);

  std::unique_ptr<const Model> model_;
  Special special_;
};

}  // namespace flashrt
