// SPDX-License-Identifier: Apache-2.0
// The golden ids need the 257152 pieces of a file that cannot be kept here: the tests write a model that has the golden
// pieces at their ids, the pieces that merging needs on the way to them, and fillers.
#include "flashrt/text/sentencepiece.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <bit>
#include <fstream>
#include <map>
#include <thread>
#include <unordered_set>

#include "flashrt/core/error.h"
#include "flashrt/text/robot_prompt.h"

namespace flashrt {
namespace {

#ifdef FLASHRT_WITH_SENTENCEPIECE

using Ids = std::vector<std::int32_t>;

// The little of the protocol buffer encoding that a ModelProto needs.
std::string varint(std::uint64_t v) {
  std::string out;
  for (; v >= 0x80; v >>= 7) out += static_cast<char>(v | 0x80);
  return out += static_cast<char>(v);
}
std::string number_field(int field, std::uint64_t v) {
  return varint(static_cast<std::uint64_t>(field) << 3).append(varint(v));
}
std::string bytes_field(int field, std::string_view v) {
  return varint(static_cast<std::uint64_t>(field) << 3 | 2).append(varint(v.size())).append(v);
}
std::string float_field(int field, float v) {
  std::string out = varint(static_cast<std::uint64_t>(field) << 3 | 5);
  auto bits = std::bit_cast<std::uint32_t>(v);
  for (int i = 0; i < 4; ++i) out += static_cast<char>(bits >> (8 * i));
  return out;
}

enum Type { kNormal = 1, kUnknown = 2, kControl = 3, kUserDefined = 4, kUnused = 5, kByte = 6 };
struct Piece {
  std::string text;
  float score = 0;
  Type type = kNormal;
};

struct Options {
  int pad = 0, eos = 1, bos = 2, unk = 3;
  bool dummy_prefix = false, remove_spaces = false, escape = true;
};

std::string model_bytes(const std::map<int, Piece>& pieces, int size, const Options& o) {
  std::string out;
  for (int id = 0; id < size; ++id) {
    auto it = pieces.find(id);
    Piece piece = it != pieces.end() ? it->second : Piece{"<filler" + std::to_string(id) + ">", 0, kUnused};
    out += bytes_field(
        1, bytes_field(1, piece.text).append(float_field(2, piece.score)).append(number_field(3, piece.type)));
  }
  auto signed_number = [](int v) { return static_cast<std::uint64_t>(static_cast<std::int64_t>(v)); };
  std::string trainer = number_field(3, 2);  // model_type BPE
  trainer += number_field(4, static_cast<std::uint64_t>(size));
  trainer += number_field(35, 1);  // byte_fallback
  trainer += number_field(40, signed_number(o.unk));
  trainer += number_field(41, signed_number(o.bos));
  trainer += number_field(42, signed_number(o.eos));
  trainer += number_field(43, signed_number(o.pad));
  trainer += bytes_field(45, "<unk>") + bytes_field(46, "<bos>") + bytes_field(47, "<eos>") + bytes_field(48, "<pad>");
  std::string normalizer = bytes_field(1, "identity");
  normalizer += number_field(3, o.dummy_prefix) + number_field(4, o.remove_spaces) + number_field(5, o.escape);
  return out + bytes_field(2, trainer) + bytes_field(3, normalizer);
}

const std::map<int, std::string> kGolden = {
    {17534, "hello"},      {2134, "\u2581world"}, {243349, "\U0001f916"}, {18075, "pick"},       {908, "\u2581up"},
    {573, "\u2581the"},    {14581, "\u2581bowl"}, {7071, "Task"},         {4788, "\u2581pick"},  {3963, "\u2581block"},
    {3040, "\u2581State"}, {4022, "Action"},      {17350, "\u2581Pick"},  {2656, "\u2581black"}, {578, "\u2581and"},
    {2040, "\u2581place"}, {665, "\u2581it"},     {611, "\u2581on"},      {8811, "\u2581plate"}, {728, "\u2581-"},
    {235248, "\u2581"},    {235269, ","},         {235292, ":"},          {235289, ";"},         {235371, "|"},
    {235276, "0"},         {235274, "1"},         {235284, "2"},          {235304, "3"},         {235310, "4"},
    {235308, "5"},         {235318, "6"},         {235324, "7"},          {235321, "8"},         {235315, "9"}};

std::map<int, Piece> base_pieces() {
  std::map<int, Piece> pieces = {{0, {"<pad>", 0, kControl}},
                                 {1, {"<eos>", 0, kControl}},
                                 {2, {"<bos>", 0, kControl}},
                                 {3, {"<unk>", 0, kUnknown}}};
  for (int i = 0; i < 256; ++i) pieces[217 + i] = {fmt::format("<0x{:02X}>", i), 0, kByte};
  return pieces;
}

std::string golden_model() {
  auto pieces = base_pieces();
  pieces[108] = {"\n", 0, kUserDefined};
  pieces[109] = {"\n\n", 0, kUserDefined};
  for (int n = 0; n < 1024; ++n) pieces[256000 + n] = {fmt::format("<loc{:04}>", n), 0, kUserDefined};
  for (int n = 0; n < 128; ++n) pieces[257024 + n] = {fmt::format("<seg{:03}>", n), 0, kUserDefined};
  std::unordered_set<std::string> known;
  for (const auto& [id, text] : kGolden) {
    pieces[id] = {text, static_cast<float>(-id), kNormal};
    known.insert(text);
  }
  // Merging reaches a piece through each of its beginnings.
  int free = 100000;
  for (const auto& [id, text] : kGolden) {
    for (std::size_t end = 1; end < text.size(); ++end) {
      if ((text[end] & 0xc0) == 0x80 || !known.insert(text.substr(0, end)).second) continue;
      pieces[free] = {text.substr(0, end), static_cast<float>(-free), kNormal};
      ++free;
    }
  }
  return model_bytes(pieces, 257152, {});
}

class File {
 public:
  explicit File(const std::string& bytes) {
    path_ = std::filesystem::temp_directory_path() / fmt::format("flashrt_{}_{}.model", getpid(), count_++);
    std::ofstream(path_, std::ios::binary) << bytes;
  }
  ~File() { std::filesystem::remove(path_); }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  static inline int count_ = 0;
  std::filesystem::path path_;
};

std::string load_error(const std::string& bytes) {
  try {
    Tokenizer::load(File(bytes).path());
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

class GoldenTokenizer : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    // Kept for all tests: 257152 pieces take a moment to load.
    tokenizer_ = std::make_unique<Tokenizer>(Tokenizer::load(File(golden_model()).path()));
  }
  static void TearDownTestSuite() { tokenizer_.reset(); }
  static Ids with_bos(std::initializer_list<std::string> texts) {
    Ids ids{tokenizer_->bos()};
    for (const auto& text : texts)
      for (auto id : tokenizer_->encode(text)) ids.push_back(id);
    return ids;
  }
  static inline std::unique_ptr<Tokenizer> tokenizer_;
};

TEST_F(GoldenTokenizer, HasTheSpecialPieces) {
  EXPECT_EQ(tokenizer_->size(), 257152);
  EXPECT_EQ(tokenizer_->bos(), 2);
  EXPECT_EQ(tokenizer_->eos(), 1);
  EXPECT_EQ(tokenizer_->piece(256000), "<loc0000>");
  EXPECT_EQ(tokenizer_->piece(257151), "<seg127>");
  EXPECT_THROW(tokenizer_->piece(257152), Error);
  EXPECT_THROW(tokenizer_->piece(-1), Error);
}

TEST_F(GoldenTokenizer, EncodesWords) {
  EXPECT_EQ(with_bos({"hello world"}), (Ids{2, 17534, 2134}));
  EXPECT_EQ(with_bos({"\U0001f916"}), (Ids{2, 243349}));
  EXPECT_EQ(tokenizer_->encode("Action: "), (Ids{4022, 235292, 235248}));
  EXPECT_EQ(tokenizer_->encode(" 128"), (Ids{235248, 235274, 235284, 235321}));
  EXPECT_EQ(tokenizer_->encode("<loc0012><seg003>"), (Ids{256012, 257027}));
  EXPECT_EQ(tokenizer_->encode("\n\n\n"), (Ids{109, 108}));
  EXPECT_EQ(tokenizer_->encode(""), Ids{});
}

TEST_F(GoldenTokenizer, EncodesUnknownCharactersAsBytes) {
  EXPECT_EQ(tokenizer_->encode("\u00e9"), (Ids{217 + 0xc3, 217 + 0xa9}));
  EXPECT_EQ(tokenizer_->encode("\uff21"), (Ids{217 + 0xef, 217 + 0xbc, 217 + 0xa1}));
}

TEST_F(GoldenTokenizer, NeverMakesControlPiecesFromText) {
  for (auto id : tokenizer_->encode("<bos><eos><pad>")) EXPECT_GT(id, 3);
}

TEST_F(GoldenTokenizer, EncodesPlainPrompts) {
  EXPECT_EQ(with_bos({plain_prompt(" hello_"), "\n"}), (Ids{2, 17534, 235248, 108}));
  EXPECT_EQ(with_bos({plain_prompt("pick up the bowl"), "\n"}), (Ids{2, 18075, 908, 573, 14581, 108}));
}

TEST_F(GoldenTokenizer, EncodesStatePrompts) {
  EXPECT_EQ(with_bos({state_prompt("pick_up\nblock", state_bins(std::vector<double>{-1, 0, 1}))}),
            (Ids{2,      7071,   235292, 4788,   908,    3963,   235269, 3040,   235292, 235248, 235276, 235248,
                 235274, 235284, 235321, 235248, 235284, 235308, 235308, 235289, 108,    4022,   235292, 235248}));
  std::vector<int> bins = {153, -1, 128, 255, 0, 255, 253, 127};
  EXPECT_EQ(with_bos({state_prompt("Pick up the black_bowl and place it on the plate", bins)}),
            (Ids{2,      7071,   235292, 17350,  908,    573,    2656,   14581,  578,    2040,   665,    611,    573,
                 8811,   235269, 3040,   235292, 235248, 235274, 235308, 235304, 728,    235274, 235248, 235274, 235284,
                 235321, 235248, 235284, 235308, 235308, 235248, 235276, 235248, 235284, 235308, 235308, 235248, 235284,
                 235308, 235304, 235248, 235274, 235284, 235324, 235289, 108,    4022,   235292, 235248}));
}

TEST_F(GoldenTokenizer, RefusesTextThatIsNotUtf8) { EXPECT_THROW(tokenizer_->encode("\xff"), Error); }

TEST_F(GoldenTokenizer, EncodesFromSeveralThreads) {
  std::vector<std::thread> threads;
  std::vector<int> right(4, 0);
  for (std::size_t t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 200; ++i) right[t] += tokenizer_->encode("hello world") == Ids{17534, 2134};
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(right, std::vector<int>(4, 200));
}

TEST(Tokenizer, RefusesWhatIsNotTheModelsFile) {
  auto expect = [](const std::string& text, std::string_view cause) {
    EXPECT_NE(text.find(cause), text.npos) << "the text is: " << text << "\nexpected in it: " << cause;
  };
  auto with = [](const Options& o) {
    auto pieces = base_pieces();
    pieces[4] = {"\u2581", 0, kNormal};
    pieces[5] = {"A", 0, kNormal};
    return model_bytes(pieces, 500, o);
  };
  EXPECT_EQ(load_error(with({})), "");
  expect(load_error(with({.dummy_prefix = true})), "add_dummy_prefix = false");
  expect(load_error(with({.remove_spaces = true})), "remove_extra_whitespaces = false");
  expect(load_error(with({.escape = false})), "escape_whitespaces = true");
  expect(load_error(""), "the file is empty");
  expect(load_error("not a model"), "is not a SentencePiece model");
  expect(load_error(with({}).substr(0, 300)), "is not a SentencePiece model");
  // The special ids are those of the pieces that the trainer's settings name.
  auto pieces = base_pieces();
  pieces[4] = {"\u2581", 0, kNormal};
  std::swap(pieces[1], pieces[2]);
  expect(load_error(model_bytes(pieces, 500, {.eos = 2, .bos = 1})), "the eos id is 2, the model needs 1");
  pieces = base_pieces();
  pieces[0] = {"x", 0, kNormal};
  expect(load_error(model_bytes(pieces, 500, {.pad = -1})), "the pad id is -1, the model needs 0");
  try {
    Tokenizer::load("/nowhere/tokenizer.model");
    FAIL();
  } catch (const Error& e) {
    expect(e.what(), "/nowhere/tokenizer.model: no such file");
  }
}

#else

TEST(Tokenizer, ABuildWithoutSentencePieceSaysSo) {
  try {
    Tokenizer::load("tokenizer.model");
    FAIL();
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("FLASHRT_WITH_SENTENCEPIECE"), std::string::npos) << e.what();
  }
}

#endif

}  // namespace
}  // namespace flashrt
