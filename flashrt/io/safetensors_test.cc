// SPDX-License-Identifier: Apache-2.0
#include "flashrt/io/safetensors.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <thread>

#include "flashrt/io/json.h"
#include "flashrt/io/safetensors_writer.h"
#include "flashrt/io/test_files.h"

namespace flashrt {
namespace {

using test::error_text;
using test::expect_error;
using test::safetensors_bytes;
using test::TempFolder;

std::vector<float> ramp(std::int64_t n, float step = 0.25f) {
  std::vector<float> v(static_cast<std::size_t>(n));
  for (std::int64_t i = 0; i < n; ++i) v[static_cast<std::size_t>(i)] = static_cast<float>(i - n / 2) * step;
  return v;
}

std::span<const std::byte> as_bytes(std::string_view s) {
  return {reinterpret_cast<const std::byte*>(s.data()), s.size()};
}

template <class T>
std::string raw(std::initializer_list<T> values) {
  return {reinterpret_cast<const char*>(values.begin()), values.size() * sizeof(T)};
}

SafetensorsSource memory_source(const std::string& file) {
  return SafetensorsSource(SafetensorsFile::open_memory(as_bytes(file), "memory"));
}

void write_file(const std::filesystem::path& path, std::string_view tensor, std::vector<std::int64_t> shape) {
  SafetensorsWriter w(path);
  std::int64_t n = 1;
  for (auto d : shape) n *= d;
  w.declare(tensor, StoredType::f32, shape);
  w.metadata("format", "pt");
  w.append(tensor, ramp(n));
  w.finish();
}

TEST(Safetensors, RoundTripsEveryTypeTheWriterTakes) {
  TempFolder folder;
  const StoredType types[] = {StoredType::u8, StoredType::f8_e4m3, StoredType::f32, StoredType::bf16,
                              StoredType::i8, StoredType::f16,     StoredType::i32};
  {
    SafetensorsWriter w(folder.path("t.safetensors"));
    w.metadata("lost.weight", "kept.weight");
    for (auto type : types) w.declare(name(type), type, {3, 5, 2});
    for (auto type : types) {
      w.append(name(type), std::vector<float>(12, 2.0f));
      w.append(name(type), std::vector<float>(18, 3.0f));
    }
    EXPECT_FALSE(std::filesystem::exists(folder.path("t.safetensors")));
    w.finish();
  }
  SafetensorsSource source(folder.path("t.safetensors"));
  EXPECT_EQ(source.metadata().at("lost.weight"), "kept.weight");
  EXPECT_EQ(source.names().size(), std::size(types));
  for (auto type : types) {
    const TensorInfo* info = source.find(name(type));
    ASSERT_NE(info, nullptr);
    EXPECT_EQ(info->type, type);
    EXPECT_EQ(to_string(*info), std::string(name(type)) + "[3, 5, 2]");
    std::vector<float> got(20);
    source.read_rows(name(type), 1, 2, got.data());
    EXPECT_EQ(got[0], 2.0f);
    EXPECT_EQ(got[1], 2.0f);
    EXPECT_EQ(got[2], 3.0f);
    EXPECT_EQ(got[19], 3.0f);
    Tensor view = source.files()[0].view(name(type));
    EXPECT_EQ(view.dtype, *dtype(type));
    EXPECT_EQ(load_as_float(view.data, view.dtype, 29), 3.0f);
  }
}

TEST(Safetensors, ReadsWhatPythonWrites) {
  // Bytes of safetensors.numpy.save({"b": zeros((2,), i32), "a": ones((1, 2), f16)}, metadata={"format": "np"}).
  std::string file = safetensors_bytes(
      R"({"__metadata__":{"format":"np"},"b":{"dtype":"I32","shape":[2],"data_offsets":[0,8]},"a":{"dtype":"F16","shape":[1,2],"data_offsets":[8,12]}}      )",
      raw<std::int32_t>({0, 0}) + raw<std::uint16_t>({0x3c00, 0x3c00}));
  auto source = memory_source(file);
  EXPECT_EQ(source.read("a"), (std::vector<float>{1, 1}));
  EXPECT_EQ(source.read("b"), (std::vector<float>{0, 0}));
  EXPECT_EQ(source.metadata().at("format"), "np");
}

TEST(Safetensors, TakesScalarsEmptyTensorsAndUnalignedData) {
  std::string file = safetensors_bytes(
      R"({"s":{"dtype":"F32","shape":[],"data_offsets":[1,5]},"u":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
      R"("e":{"dtype":"F32","shape":[0,4],"data_offsets":[5,5]},"n":{"dtype":"I64","shape":[1],"data_offsets":[5,13]}})",
      std::string("\x07").append(raw<float>({1.5f})).append(raw<std::int64_t>({42})));
  auto source = memory_source(file);
  EXPECT_EQ(source.read("s"), std::vector<float>{1.5f});
  EXPECT_EQ(source.read("u"), std::vector<float>{7});
  EXPECT_EQ(source.read("e"), std::vector<float>{});
  EXPECT_EQ(source.read("n"), std::vector<float>{42});
  EXPECT_EQ(source.find("e")->rows(), 0);
  expect_error(error_text([&] { source.files()[0].view("n"); }),
               "I64[1], a type that the engine does not compute with");
}

TEST(Safetensors, TypesWithoutAConversionAreRefusedWhenAskedFor) {
  std::string file = safetensors_bytes(R"({"a":{"dtype":"F8_E5M2","shape":[2],"data_offsets":[0,2]}})", "xy");
  auto source = memory_source(file);
  float out[2];
  expect_error(error_text([&] { source.read_rows("a", 0, 2, out); }),
               "tensor \"a\" is F8_E5M2[2], which is not converted");
}

TEST(Safetensors, RanksAboveTheEnginesCanBeReadButNotViewed) {
  std::string file = safetensors_bytes(R"({"a":{"dtype":"U8","shape":[2,1,1,1,1],"data_offsets":[0,2]}})", "\x01\x02");
  auto source = memory_source(file);
  EXPECT_EQ(source.read("a"), (std::vector<float>{1, 2}));
  expect_error(error_text([&] { source.files()[0].view("a"); }), "at most 4 dimensions");
}

TEST(Safetensors, WidensF16AndBf16Exactly) {
  std::string f16, bf16;
  for (int i = 0; i < 65536; ++i) {
    f16 += static_cast<char>(i & 255);
    f16 += static_cast<char>(i >> 8);
  }
  std::vector<float> out(65536);
  for (StoredType type : {StoredType::f16, StoredType::bf16}) {
    widen(type, as_bytes(f16).data(), 65536, out.data());
    for (int i = 0; i < 65536; ++i) {
      auto h = static_cast<std::uint16_t>(i);
      float want = type == StoredType::f16 ? from_f16(h) : from_bf16(h);
      float got = out[static_cast<std::size_t>(i)];
      if (std::isnan(want)) {
        EXPECT_TRUE(std::isnan(got)) << i;
      } else {
        EXPECT_EQ(std::bit_cast<std::uint32_t>(got), std::bit_cast<std::uint32_t>(want)) << i;
      }
    }
  }
}

TEST(Safetensors, NamesTheFirstValueThatIsNotFinite) {
  float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
  std::string file = safetensors_bytes(R"({"w":{"dtype":"F32","shape":[3,2],"data_offsets":[0,24]}})",
                                       raw<float>({1, 2, 3, nan, -inf, 6}));
  auto source = memory_source(file);
  float out[6];
  source.read_rows("w", 0, 3, out);
  EXPECT_EQ(non_finite(out).count, 2);
  EXPECT_EQ(non_finite(out).first, 3);
  EXPECT_EQ(non_finite({out, 3}).count, 0);
  source.read_finite_rows("w", 0, 1, out);
  expect_error(error_text([&] { source.read_finite_rows("w", 1, 2, out); }),
               "memory: tensor \"w\" holds nan at [1, 1] (2 such values in rows 1 to 2)");
  expect_error(error_text([&] { source.read("w"); }), "[1, 1]");
}

TEST(Safetensors, RefusesRowsOutOfRangeAndUnknownNames) {
  std::string file = safetensors_bytes(R"({"w":{"dtype":"U8","shape":[3],"data_offsets":[0,3]}})", "abc");
  auto source = memory_source(file);
  float out[4];
  expect_error(error_text([&] { source.read_rows("w", 1, 3, out); }), "has 3 rows; 3 from row 1 were asked for");
  expect_error(error_text([&] { source.read_rows("w", -1, 1, out); }), "from row -1");
  expect_error(error_text([&] { source.read_rows("v", 0, 1, out); }), "memory: there is no tensor \"v\"");
  EXPECT_EQ(source.find("v"), nullptr);
}

TEST(Safetensors, ReleasedBytesComeBack) {
  TempFolder folder;
  write_file(folder.path("m.safetensors"), "w", {300, 100});
  SafetensorsSource source(folder.path("m.safetensors"));
  auto before = source.read("w");
  source.release("w");
  EXPECT_EQ(source.read("w"), before);
  source.prefetch("w");
  source.release("unknown");
  EXPECT_EQ(before, ramp(30000));
}

TEST(Safetensors, ReadsFromSeveralThreads) {
  TempFolder folder;
  write_file(folder.path("m.safetensors"), "w", {64, 100});
  SafetensorsSource source(folder.path("m.safetensors"));
  std::vector<float> out(6400);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (int r = t; r < 64; r += 4) source.read_finite_rows("w", r, 1, &out[static_cast<std::size_t>(r) * 100]);
    });
  for (auto& t : threads) t.join();
  EXPECT_EQ(out, ramp(6400));
}

TEST(Safetensors, ReadsShardsThroughTheirIndexOrFolder) {
  TempFolder folder;
  write_file(folder.path("model-1.safetensors"), "a", {2, 3});
  write_file(folder.path("model-2.safetensors"), "b", {4});
  folder.write("model.safetensors.index.json",
               R"({"metadata":{"total_size":40},"weight_map":{"a":"model-1.safetensors","b":"model-2.safetensors"}})");
  for (const auto& path : {folder.path(), folder.path("model.safetensors.index.json")}) {
    SafetensorsSource source(path);
    EXPECT_EQ(source.names(), (std::vector<std::string>{"a", "b"}));
    EXPECT_EQ(source.read("a"), ramp(6));
    EXPECT_EQ(source.read("b"), ramp(4));
    EXPECT_EQ(source.description(), path.string());
  }
  write_file(folder.path("model.safetensors"), "whole", {1});
  EXPECT_EQ(SafetensorsSource(folder.path()).names(), std::vector<std::string>{"whole"});
}

TEST(SafetensorsWriter, AlignsEveryTensor) {
  TempFolder folder;
  SafetensorsWriter w(folder.path("t.safetensors"));
  w.declare("a", StoredType::u8, {3});
  w.declare("b", StoredType::f32, {1});
  w.declare("c", StoredType::bf16, {1});
  w.append("a", ramp(3));
  w.append("c", ramp(1));
  w.append("b", ramp(1));
  w.finish();
  auto file = SafetensorsFile::open(folder.path("t.safetensors"));
  EXPECT_EQ(file.tensors().at("b").begin, 0u);
  EXPECT_EQ(file.tensors().at("c").begin, 4u);
  EXPECT_EQ(file.tensors().at("a").begin, 6u);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(file.view("b").data) % 8, 0u);
}

TEST(SafetensorsWriter, RefusesMisuseAndLeavesNothing) {
  TempFolder folder;
  {
    SafetensorsWriter w(folder.path("t.safetensors"));
    w.declare("a", StoredType::f32, {2});
    expect_error(error_text([&] { w.declare("a", StoredType::f32, {2}); }), "declared twice");
    expect_error(error_text([&] { w.declare("z", StoredType::f32, {-2}); }), "cannot be F32 of shape [-2]");
    expect_error(error_text([&] { w.append("b", ramp(1)); }), "tensor \"b\" was not declared");
    w.append("a", ramp(1));
    expect_error(error_text([&] { w.append("a", ramp(2)); }), "4 bytes more than F32[2] takes");
    expect_error(error_text([&] { w.finish(); }), "has 4 bytes written of 8");
    expect_error(error_text([&] { w.declare("c", StoredType::f32, {2}); }), "declared after the first was written");
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
  expect_error(error_text([&] { SafetensorsWriter(folder.path("none/t.safetensors")); }), "cannot be written");
}

}  // namespace
}  // namespace flashrt
