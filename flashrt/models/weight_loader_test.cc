// SPDX-License-Identifier: Apache-2.0
// The readings of a weight declaration on small files: what is folded, stacked, interleaved, quantised and refused.
#include "flashrt/models/weight_loader.h"

#include <functional>

#include "flashrt/backends/cpu/cpu_device.h"
#include "flashrt/core/packed_rhs.h"
#include "flashrt/io/safetensors.h"
#include "flashrt/io/safetensors_writer.h"
#include "flashrt/io/test_files.h"

namespace flashrt {
namespace {

using test::error_text;
using test::expect_error;

struct Stored {
  std::string name;
  std::vector<std::int64_t> shape;
  StoredType type = StoredType::f32;
};

// Element i of a tensor is i + 1, small enough to be exact in bf16 here.
class Source {
 public:
  explicit Source(const std::vector<Stored>& tensors) {
    SafetensorsWriter writer(folder_.path("model.safetensors"));
    for (const Stored& t : tensors) writer.declare(t.name, t.type, t.shape);
    for (const Stored& t : tensors) {
      std::int64_t n = 1;
      for (std::int64_t d : t.shape) n *= d;
      std::vector<float> v(static_cast<std::size_t>(n));
      for (std::size_t i = 0; i < v.size(); ++i) v[i] = static_cast<float>(i + 1);
      writer.append(t.name, v);
    }
    writer.finish();
    source_ = std::make_unique<SafetensorsSource>(folder_.path());
  }
  const TensorSource& get() const { return *source_; }

 private:
  test::TempFolder folder_;
  std::unique_ptr<SafetensorsSource> source_;
};

// Runs `declare` through manifest and loader, as a model does.
struct Loaded {
  Arena arena;
  explicit Loaded(const Source& source, const Precision& precision, const std::function<void(Weights&)>& declare) {
    WeightManifest manifest;
    declare(manifest);
    manifest.check(source.get());
    arena = Arena(manifest.packed_bytes(precision));
    auto device = cpu::make_device({.threads = 2, .pin = false});
    WeightLoader loader(source.get(), precision, arena);
    declare(loader);
    loader.load(*device);
  }
};

float at(const Linear& l, std::int64_t n, std::int64_t k) { return packed_value(l.w, 0, n, k); }

TEST(WeightLoader, StacksPartsAcrossPanels) {
  Source source({{"q.weight", {40, 3}}, {"k.weight", {20, 3}}, {"q.bias", {40}}, {"k.bias", {20}}});
  Linear l;
  Loaded loaded(source, {.all = DType::f32}, [&](Weights& w) {
    w.linear(l, {.group = "g", .parts = {{"q", 40}, {"k", 20}}, .K = 3, .bias = true});
  });
  ASSERT_EQ(l.N(), 60);
  for (std::int64_t n = 0; n < 60; ++n) {
    std::int64_t row = n < 40 ? n : n - 40;
    EXPECT_EQ(l.bias.as<float>()[n], static_cast<float>(row + 1)) << n;
    for (std::int64_t k = 0; k < 3; ++k) EXPECT_EQ(at(l, n, k), static_cast<float>(row * 3 + k + 1)) << n << ", " << k;
  }
}

TEST(WeightLoader, InterleavesPairsBySixteenAndPads) {
  Source source({{"gate.weight", {20, 2}}, {"up.weight", {20, 2}}, {"gain", {2}}});
  Linear l;
  Loaded loaded(source, {.all = DType::f32}, [&](Weights& w) {
    w.linear(l, {.group = "g", .parts = {{"gate", 20}, {"up", 20}}, .K = 2, .paired = true, .offset_gain = "gain"});
  });
  ASSERT_EQ(l.N(), 64);
  EXPECT_EQ(l.outputs(), 32);
  for (std::int64_t n = 0; n < 64; ++n) {
    std::int64_t row = n / 32 * 16 + n % 16;  // of gate or of up
    for (std::int64_t k = 0; k < 2; ++k) {
      float w = row < 20 ? static_cast<float>(row * 2 + k + 1) * static_cast<float>(k + 2) : 0.0f;
      EXPECT_EQ(at(l, n, k), w) << n << ", " << k;
    }
  }
}

TEST(WeightLoader, TurnsConvolutionsToChannelsLast) {
  Source source({{"patch.weight", {5, 3, 2, 2}}, {"patch.bias", {5}}});
  Linear l;
  Loaded loaded(source, {.all = DType::bf16}, [&](Weights& w) {
    w.linear(l, {.group = "g", .parts = {{"patch", 5}}, .K = 12, .bias = true, .channels = 3});
  });
  for (std::int64_t n = 0; n < 5; ++n)
    for (std::int64_t c = 0; c < 3; ++c)
      for (std::int64_t p = 0; p < 4; ++p) EXPECT_EQ(at(l, n, p * 3 + c), static_cast<float>((n * 3 + c) * 4 + p + 1));
}

TEST(WeightLoader, FoldsGainAndScale) {
  Source source({{"o.weight", {2, 3}}, {"o.bias", {2}}, {"norm", {3}}});
  Linear l;
  Loaded loaded(source, {.all = DType::f32}, [&](Weights& w) {
    w.linear(l, {.group = "g", .parts = {{"o", 2}}, .K = 3, .bias = true, .offset_gain = "norm", .scale = -0.5f});
  });
  for (std::int64_t n = 0; n < 2; ++n) {
    EXPECT_EQ(l.bias.as<float>()[n], -0.5f * static_cast<float>(n + 1));
    for (std::int64_t k = 0; k < 3; ++k)
      EXPECT_EQ(at(l, n, k), -0.5f * static_cast<float>(n * 3 + k + 1) * static_cast<float>(k + 2));
  }
}

TEST(WeightLoader, QuantisesByGroupAndKeepsWhatIsHigh) {
  Source source({{"a.weight", {3, 4}}, {"b.weight", {3, 4}}, {"c.weight", {3, 4}}, {"d.weight", {3, 4}}});
  Linear a, b, c, d;
  Loaded loaded(source, {.all = DType::i8, .keep = {{"vision", DType::f32}}}, [&](Weights& w) {
    w.linear(a, {.group = "prefix", .parts = {{"a", 3}}, .K = 4});
    w.linear(b, {.group = "prefix", .parts = {{"b", 3}}, .K = 4, .high = true});
    w.linear(c, {.group = "vision", .parts = {{"c", 3}}, .K = 4, .high = true});
    w.linear(d, {.group = "head", .parts = {{"d", 3}}, .K = 4});
  });
  EXPECT_EQ(a.w.dtype, DType::i8);
  EXPECT_EQ(b.w.dtype, DType::bf16);
  EXPECT_EQ(c.w.dtype, DType::f32);
  EXPECT_EQ(d.w.dtype, DType::f32);
  EXPECT_FALSE(b.w_scale);
  for (std::int64_t n = 0; n < 3; ++n) {
    EXPECT_EQ(a.w_scale.as<float>()[n], static_cast<float>(4 * n + 4) / 127.0f);
    EXPECT_EQ(at(a, n, 3), 127);
  }
}

TEST(WeightLoader, KeepsTablesAsTheyAreStored) {
  Source source({{"f32", {3, 2}}, {"bf16", {3, 2}, StoredType::bf16}, {"f16", {3, 2}, StoredType::f16}});
  for (DType all : {DType::f32, DType::bf16}) {
    Tensor a, b, c;
    Loaded loaded(source, {.all = all}, [&](Weights& w) {
      w.tensor(a, "prefix", "f32", {3, 2}, Keep::stored);
      w.tensor(b, "prefix", "bf16", {3, 2}, Keep::stored);
      w.tensor(c, "prefix", "f16", {3, 2}, Keep::stored);
    });
    EXPECT_EQ(a.dtype, all);
    EXPECT_EQ(b.dtype, DType::bf16);
    EXPECT_EQ(c.dtype, DType::f16);
    for (const Tensor& t : {a, b, c})
      for (std::int64_t i = 0; i < 6; ++i) EXPECT_EQ(load_as_float(t.data, t.dtype, i), static_cast<float>(i + 1));
  }
}

TEST(WeightManifest, ListsEveryProblemAtOnce) {
  Source source({{"a.weight", {3, 4}}, {"b.weight", {4, 3}}, {"stray", {1}}, {"i.weight", {3, 4}, StoredType::i32}});
  Linear l;
  WeightManifest m;
  for (const char* name : {"a", "b", "i", "gone"}) m.linear(l, {.group = "g", .parts = {{name, 3}}, .K = 4});
  m.unused("left", {2});
  std::string text = error_text([&] { m.check(source.get()); });
  expect_error(text, "does not fit the model:");
  expect_error(text, "missing tensor \"gone.weight\" [3, 4]");
  expect_error(text, "tensor \"b.weight\" is [4, 3], the model needs [3, 4]");
  expect_error(text, "tensor \"i.weight\" is I32[3, 4]");
  expect_error(text, "unknown tensor \"stray\"");
  EXPECT_EQ(text.find("\"a.weight\""), text.npos);
  EXPECT_EQ(text.find("\"left\""), text.npos);
  EXPECT_EQ(m.parameters(), 48);
}

TEST(WeightManifest, CutsLongLists) {
  Source source({{"stray", {1}}});
  Linear l;
  WeightManifest m;
  for (int i = 0; i < 30; ++i) m.linear(l, {.group = "g", .parts = {{"layer" + std::to_string(i), 3}}, .K = 4});
  expect_error(error_text([&] { m.check(source.get()); }), "and 19 more");
}

TEST(Precision, IsParsedAndPrinted) {
  std::vector<std::string_view> groups{"vision", "prefix"};
  EXPECT_EQ(to_string(parse_precision("int8", {"vision=bf16"}, groups)), "int8,vision=bf16");
  // What to_string() writes is taken back.
  EXPECT_EQ(to_string(parse_precision("int8,vision=bf16", {}, groups)), "int8,vision=bf16");
  EXPECT_EQ(to_string(parse_precision("int8,vision=bf16", {"prefix=f32"}, groups)), "int8,prefix=f32,vision=bf16");
  EXPECT_EQ(parse_precision("fp32", {}, groups).all, DType::f32);
  Precision p = parse_precision("i8", {"vision=f32"}, groups);
  EXPECT_EQ(p.of("vision"), DType::f32);
  EXPECT_EQ(p.of("prefix"), DType::i8);
  EXPECT_EQ(p.of("head"), DType::f32);
  EXPECT_EQ(parse_precision("bf16", {}, groups).of("head"), DType::f32);
  auto refusal = [&](const char* all, std::vector<std::string> keep) {
    return error_text([&] { parse_precision(all, keep, groups); });
  };
  expect_error(refusal("fp8", {}), "unknown precision \"fp8\"; use f32, bf16 or int8");
  expect_error(refusal("", {}), "unknown precision \"\"");
  expect_error(refusal("bf16", {"vision"}), "\"vision\" is not GROUP=PRECISION; groups of this model: vision, prefix");
  expect_error(refusal("bf16", {"=f32"}), "unknown layer group \"\"");
  expect_error(refusal("bf16", {"expert=f32"}), "unknown layer group \"expert\"");
  expect_error(refusal("bf16", {"vision="}), "unknown precision \"\"");
  expect_error(refusal("int8,", {}), "\"\" is not GROUP=PRECISION");
  expect_error(refusal("int8,legs=bf16", {}), "unknown layer group \"legs\"");
  expect_error(refusal("int8,vision=bf16", {"vision=f32"}), "\"vision\" is given two precisions");
}

}  // namespace
}  // namespace flashrt
