// SPDX-License-Identifier: Apache-2.0
#include "flashrt/text/sentencepiece.h"

#include <fstream>
#include <iterator>
#include <utility>

#include "flashrt/core/error.h"
#include "flashrt/text/utf8.h"

#ifdef FLASHRT_WITH_SENTENCEPIECE
#include <sentencepiece_processor.h>
#endif

namespace flashrt {

#ifdef FLASHRT_WITH_SENTENCEPIECE

struct Tokenizer::Model {
  sentencepiece::SentencePieceProcessor processor;
};

namespace {

constexpr std::uintmax_t kMaxBytes = std::uintmax_t{256} << 20;

std::string read_file(const std::filesystem::path& path) {
  require(std::filesystem::is_regular_file(path), "{}: no such file", path.string());
  std::uintmax_t size = std::filesystem::file_size(path);
  require(size > 0, "{}: the file is empty", path.string());
  require(size <= kMaxBytes, "{}: {} bytes are too many for a SentencePiece model", path.string(), size);
  std::ifstream file(path, std::ios::binary);
  std::string bytes((std::istreambuf_iterator<char>(file)), {});
  require(bytes.size() == size, "{}: cannot be read", path.string());
  return bytes;
}

void check_special(const std::string& file, const sentencepiece::SentencePieceProcessor& p,
                   const Tokenizer::Special& wanted) {
  struct Row {
    const char* name;
    int found, wanted;
  };
  for (const Row& row : {Row{"pad", p.pad_id(), wanted.pad}, Row{"eos", p.eos_id(), wanted.eos},
                         Row{"bos", p.bos_id(), wanted.bos}, Row{"unk", p.unk_id(), wanted.unk}})
    require(row.found == row.wanted, "{}: the {} id is {}, the model needs {}; this is another model's tokenizer", file,
            row.name, row.found, row.wanted);
}

std::string joined(const sentencepiece::SentencePieceProcessor& p, std::string_view text) {
  std::string out;
  for (const std::string& piece : p.EncodeAsPieces({text.data(), text.size()})) out += piece;
  return out;
}

// Spaces must come out as they went in, and no character as another one: a wide G is no G (bytes print as <0xEF>).
void check_identity(const std::string& file, const sentencepiece::SentencePieceProcessor& p) {
  constexpr std::string_view kSpaces = "\u2581\u2581";
  std::string found = joined(p, "  ");
  require(found == kSpaces,
          "{}: two spaces are split into \"{}\"; the model needs add_dummy_prefix = false, remove_extra_whitespaces = "
          "false and escape_whitespaces = true",
          file, found);
  require(joined(p, "\uff27").find('G') == std::string::npos,
          "{}: characters are folded before they are split; the model needs the identity normalizer", file);
}

}  // namespace

Tokenizer Tokenizer::load(const std::filesystem::path& path, const Special& special) {
  std::string bytes = read_file(path);
  auto model = std::make_unique<Model>();
  auto status = model->processor.LoadFromSerializedProto({bytes.data(), bytes.size()});
  require(status.ok(), "{}: is not a SentencePiece model: {}", path.string(), status.error_message());
  check_special(path.string(), model->processor, special);
  check_identity(path.string(), model->processor);
  return Tokenizer(std::move(model), special);
}

std::vector<std::int32_t> Tokenizer::encode(std::string_view text) const {
  require(is_utf8(text), "the text to tokenize is not valid UTF-8");
  std::vector<int> ids;
  auto status = model_->processor.Encode({text.data(), text.size()}, &ids);
  require(status.ok(), "the text cannot be tokenized: {}", status.error_message());
  return {ids.begin(), ids.end()};
}

std::int64_t Tokenizer::size() const { return model_->processor.GetPieceSize(); }

std::string Tokenizer::piece(std::int32_t id) const {
  require(id >= 0 && id < size(), "there is no piece {}; the tokenizer has {}", id, size());
  return model_->processor.IdToPiece(id);
}

#else

struct Tokenizer::Model {};

Tokenizer Tokenizer::load(const std::filesystem::path& path, const Special&) {
  fail(
      "{}: this build reads no SentencePiece files; configure it with -DFLASHRT_WITH_SENTENCEPIECE=ON, or give token "
      "ids instead of text",
      path.string());
}
// No Tokenizer exists in this build, so the rest is not reached.
std::vector<std::int32_t> Tokenizer::encode(std::string_view) const { return {}; }
std::int64_t Tokenizer::size() const { return 0; }
std::string Tokenizer::piece(std::int32_t) const { return {}; }

#endif

Tokenizer::Tokenizer(std::unique_ptr<const Model> model, const Special& special)
    : model_(std::move(model)), special_(special) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

}  // namespace flashrt
