// SPDX-License-Identifier: Apache-2.0
// Malformed checkpoints: each is refused, with a text that names the cause.
#include <gtest/gtest.h>

#include <ostream>
#include <string>

#include "flashrt/io/json.h"
#include "flashrt/io/safetensors.h"
#include "flashrt/io/test_files.h"

namespace flashrt {
namespace {

using test::error_text;
using test::expect_error;
using test::safetensors_bytes;
using test::TempFolder;

struct Malformed {
  std::string name;
  std::string file;
  std::string cause;
};

void PrintTo(const Malformed& malformed, std::ostream* out) { *out << malformed.name; }

std::string length_field(std::uint64_t n, std::string_view rest = "") {
  std::string out;
  for (int i = 0; i < 8; ++i) out += static_cast<char>(n >> (8 * i));
  return out.append(rest);
}

// A file of one F32 tensor "w" with this entry, and `data_bytes` zero bytes of data.
std::string one(std::string_view entry, std::size_t data_bytes = 24) {
  return safetensors_bytes("{\"w\":" + std::string(entry) + "}", std::string(data_bytes, '\0'));
}
std::string shaped(std::string_view shape, std::size_t data_bytes = 24) {
  return one(R"({"dtype":"F32","shape":)" + std::string(shape) + R"(,"data_offsets":[0,24]})", data_bytes);
}
std::string placed(std::string_view offsets, std::size_t data_bytes = 24) {
  return one(R"({"dtype":"F32","shape":[2,3],"data_offsets":)" + std::string(offsets) + "}", data_bytes);
}
// Two U8 tensors "a" and "b".
std::string two(std::string_view a, std::string_view b, std::size_t data_bytes) {
  auto entry = [](std::string_view s) { return R"({"dtype":"U8",)" + std::string(s) + "}"; };
  return safetensors_bytes("{\"a\":" + entry(a) + ",\"b\":" + entry(b) + "}", std::string(data_bytes, '\0'));
}
std::string with_metadata(std::string_view metadata) {
  return safetensors_bytes(
      R"({"__metadata__":)" + std::string(metadata) + R"(,"w":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", "x");
}

const std::string kGood = shaped("[2,3]");

class SafetensorsRefuses : public testing::TestWithParam<Malformed> {};

TEST_P(SafetensorsRefuses, WithTheCause) {
  TempFolder folder;
  auto path = folder.write("model.safetensors", GetParam().file);
  std::string text = error_text([&] { SafetensorsSource source(path); });
  expect_error(text, GetParam().cause);
  expect_error(text, "model.safetensors: ");
  const std::string& bytes = GetParam().file;
  if (bytes.empty()) return;
  expect_error(
      error_text([&] {
        SafetensorsFile::open_memory({reinterpret_cast<const std::byte*>(bytes.data()), bytes.size()}, "memory");
      }),
      GetParam().cause);
}

TEST(Malformed, TheFileThatTheOthersAreMadeFromIsGood) {
  TempFolder folder;
  EXPECT_EQ(SafetensorsSource(folder.write("model.safetensors", kGood)).read("w").size(), 6u);
}

const Malformed kFiles[] = {
    // Where the file ends.
    {"empty", "", "the file is empty"},
    {"cut_in_length", kGood.substr(0, 7), "7 bytes are too few"},
    {"cut_after_length", kGood.substr(0, 8), "it is truncated"},
    {"cut_in_header", kGood.substr(0, 30), "it is truncated"},
    {"cut_after_header", kGood.substr(0, kGood.size() - 24), "beyond the 0 bytes of data"},
    {"cut_in_data", kGood.substr(0, kGood.size() - 1), "beyond the 23 bytes of data"},
    {"trailing_bytes", kGood + "x", "1 bytes after the last tensor belong to no tensor"},
    {"no_tensors_but_data", safetensors_bytes("{}", "x"), "1 bytes after the last tensor"},
    // The header's length and text.
    {"length_is_zero", length_field(0, "{}"), "does not start with {"},
    {"length_overflows", length_field(~std::uint64_t{0}, "{}"), "above the limit of 16777216"},
    {"length_overflows_with_field", length_field(~std::uint64_t{0} - 7, "{}"), "above the limit"},
    {"length_is_negative_in_32_bits", length_field(0xfffffff8, "{}"), "above the limit"},
    {"length_above_limit", length_field((1 << 24) + 1, "{}"), "above the limit"},
    {"length_beyond_file", length_field(3, "{}"), "the header has 3 bytes, the file only 2"},
    {"header_is_an_array", safetensors_bytes("[]", ""), "does not start with {"},
    {"header_starts_with_space", safetensors_bytes(" {}", ""), "does not start with {"},
    {"header_is_cut_json", safetensors_bytes(R"({"w":)", ""), "is not valid JSON"},
    {"header_goes_on", safetensors_bytes("{}{}", ""), "expected end of input"},
    {"header_padded_with_zeros", safetensors_bytes(std::string("{}\0\0", 4), ""), "zero byte"},
    {"header_is_a_pickle", std::string("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8", 12),
     "not a safetensors file"},
    {"name_not_utf8", safetensors_bytes("{\"\xff\":{}}", ""), "UTF-8"},
    {"duplicate_tensor",
     safetensors_bytes(
         R"({"w":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"w":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})",
         "x"),
     "key \"w\" appears twice"},
    {"duplicate_field", one(R"({"dtype":"F32","shape":[2,3],"shape":[3,2],"data_offsets":[0,24]})"),
     "key \"shape\" appears twice"},
    {"duplicate_metadata", with_metadata(R"({"a":"x","a":"x"})"), "key \"a\" appears twice"},
    {"deep_json", safetensors_bytes("{\"w\":" + std::string(100000, '['), ""), "nested deeper than 64 levels"},
    // Entries.
    {"entry_is_a_number", one("3"), "key \"w\" must be an object"},
    {"dtype_missing", one(R"({"shape":[2,3],"data_offsets":[0,24]})"), "key \"w.dtype\" is missing"},
    {"shape_missing", one(R"({"dtype":"F32","data_offsets":[0,24]})"), "key \"w.shape\" is missing"},
    {"offsets_missing", one(R"({"dtype":"F32","shape":[2,3]})"), "key \"w.data_offsets\" is missing"},
    {"unknown_field", one(R"({"dtype":"F32","shape":[2,3],"data_offsets":[0,24],"strides":[3,1]})"),
     "key \"w.strides\" is not known here"},
    {"unknown_dtype", one(R"({"dtype":"Q4_K","shape":[2,3],"data_offsets":[0,24]})"), "the dtype \"Q4_K\" is not one"},
    {"lower_case_dtype", one(R"({"dtype":"f32","shape":[2,3],"data_offsets":[0,24]})"), "the dtype \"f32\" is not one"},
    {"dtype_is_a_number", one(R"({"dtype":32,"shape":[2,3],"data_offsets":[0,24]})"), "\"w.dtype\" must be a string"},
    // Shapes.
    {"shape_is_a_number", shaped("6"), "\"w.shape\" must be an array, is an integer"},
    {"shape_is_negative", shaped("[-2,-3]"), "\"w.shape[0]\" must be at least 0, is -2"},
    {"shape_is_a_float", shaped("[2.0,3]"), "\"w.shape[0]\" must be an integer"},
    {"shape_is_a_string", shaped(R"(["2",3])"), "\"w.shape[0]\" must be an integer, is a string"},
    {"shape_is_null", shaped("[null,3]"), "\"w.shape[0]\" must be an integer, is null"},
    {"shape_product_overflows", shaped("[4294967296,4294967296]"), "is too large"},
    {"shape_product_overflows_to_size", shaped("[2305843009213693952,8,6]"), "is too large"},
    {"shape_bytes_overflow", shaped("[4611686018427387904]"), "is too large"},
    {"shape_overflow_hidden_by_zero", shaped("[4294967296,4294967296,0]"), "is too large"},
    {"shape_beyond_64_bits", shaped("[18446744073709551616]"), "does not fit 64 bits"},
    {"shape_beyond_signed", shaped("[18446744073709551615]"), "\"w.shape[0]\" must be at most"},
    {"shape_of_nine_dimensions", shaped("[2,3,1,1,1,1,1,1,1]"), "9 dimensions are more than the 8"},
    {"shape_too_small_for_bytes", shaped("[2,2]"), "takes 16 bytes, data_offsets [0, 24] hold 24"},
    {"shape_too_large_for_bytes", shaped("[2,4]"), "takes 32 bytes, data_offsets [0, 24] hold 24"},
    {"scalar_with_bytes_of_many", shaped("[]"), "takes 4 bytes"},
    {"half_byte", one(R"({"dtype":"F4","shape":[3],"data_offsets":[0,2]})", 2), "does not end on a whole byte"},
    // Offsets.
    {"offsets_reversed", placed("[24,0]"), "data_offsets [24, 0] are reversed"},
    {"offsets_negative", placed("[-24,0]"), "\"w.data_offsets[0]\" must be at least 0"},
    {"offsets_float", placed("[0,24.0]"), "\"w.data_offsets[1]\" must be an integer"},
    {"one_offset", placed("[24]"), "data_offsets must be two numbers, there are 1"},
    {"three_offsets", placed("[0,24,48]"), "data_offsets must be two numbers, there are 3"},
    {"offsets_beyond_file", placed("[0,25]"), "beyond the 24 bytes"},
    {"offsets_far_beyond_file", placed("[9223372036854775783,9223372036854775807]"), "beyond the 24 bytes"},
    {"offsets_beyond_signed", placed("[18446744073709551592,18446744073709551615]"), "must be at most"},
    {"hole_at_start", placed("[4,28]", 28), "bytes 0 to 4 of the data, before tensor \"w\", belong to no tensor"},
    {"hole_in_between", two(R"("shape":[2],"data_offsets":[0,2])", R"("shape":[2],"data_offsets":[3,5])", 5),
     "bytes 2 to 3 of the data"},
    {"overlap", two(R"("shape":[4],"data_offsets":[0,4])", R"("shape":[4],"data_offsets":[2,6])", 6),
     "tensors \"a\" and \"b\" overlap at byte 2"},
    {"same_bytes_twice", two(R"("shape":[4],"data_offsets":[0,4])", R"("shape":[4],"data_offsets":[0,4])", 4),
     "tensors \"a\" and \"b\" overlap at byte 0"},
    {"empty_tensor_inside_another",
     two(R"("shape":[4],"data_offsets":[0,4])", R"("shape":[0],"data_offsets":[2,2])", 4),
     "tensors \"a\" and \"b\" overlap at byte 2"},
    {"empty_tensors_as_aliases", two(R"("shape":[0],"data_offsets":[0,0])", R"("shape":[0,3],"data_offsets":[0,0])", 0),
     "the empty tensors \"a\" and \"b\" are aliases"},
    {"empty_tensor_beyond_end", two(R"("shape":[4],"data_offsets":[0,4])", R"("shape":[0],"data_offsets":[5,5])", 4),
     "beyond the 4 bytes"},
    // Metadata.
    {"metadata_is_a_string", with_metadata(R"("pt")"), "key \"__metadata__\" must be an object"},
    {"metadata_of_numbers", with_metadata(R"({"step":3})"),
     "key \"__metadata__.step\" must be a string, is an integer"},
    {"metadata_nested", with_metadata(R"({"a":{"b":"c"}})"), "key \"__metadata__.a\" must be a string, is an object"},
};
INSTANTIATE_TEST_SUITE_P(All, SafetensorsRefuses, testing::ValuesIn(kFiles),
                         [](const auto& info) { return info.param.name; });

// Folders with an index. Shard s1 holds a [1], shard s2 holds b [1].
class IndexRefuses : public testing::TestWithParam<Malformed> {};

std::string shard(std::string_view tensors, std::size_t data_bytes) {
  return safetensors_bytes(tensors, std::string(data_bytes, '\0'));
}

TEST_P(IndexRefuses, WithTheCause) {
  TempFolder folder;
  folder.write("s1.safetensors", shard(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 1));
  folder.write("s2.safetensors", shard(R"({"b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 1));
  folder.write("both.safetensors", shard(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                                         R"("b":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})",
                                         2));
  folder.write("bad.safetensors", "short");
  folder.write("s1.bin", "pickle");
  folder.write("model.safetensors.index.json", GetParam().file);
  std::string text = error_text([&] { SafetensorsSource source(folder.path()); });
  expect_error(text, GetParam().cause);
}

const Malformed kIndexes[] = {
    {"empty_file", "", "model.safetensors.index.json: the file is empty"},
    {"cut", R"({"weight_map":{"a":)", "is not valid JSON"},
    {"no_weight_map", R"({"metadata":{}})", "key \"weight_map\" is missing"},
    {"empty_weight_map", R"({"weight_map":{}})", "weight_map is empty"},
    {"weight_map_is_a_list", R"({"weight_map":["a"]})", "key \"weight_map\" must be an object, is an array"},
    {"shard_is_a_number", R"({"weight_map":{"a":1}})", "key \"weight_map.a\" must be a string"},
    {"unknown_key", R"({"weight_map":{"a":"s1.safetensors"},"shards":2})", "key \"shards\" is not known here"},
    {"duplicate_tensor", R"({"weight_map":{"a":"s1.safetensors","a":"s2.safetensors"}})", "key \"a\" appears twice"},
    {"missing_shard", R"({"weight_map":{"a":"s1.safetensors","c":"s3.safetensors"}})",
     "the shard \"s3.safetensors\" is missing; it should hold tensor \"c\""},
    {"parent_folder", R"({"weight_map":{"a":"../s1.safetensors"}})", "must be a file name beside the index"},
    {"absolute_path", R"({"weight_map":{"a":"/etc/s1.safetensors"}})", "must be a file name beside the index"},
    {"subfolder", R"({"weight_map":{"a":"sub/s1.safetensors"}})", "must be a file name beside the index"},
    {"backslash", R"({"weight_map":{"a":"..\\s1.safetensors"}})", "must be a file name beside the index"},
    {"zero_byte_in_shard", R"({"weight_map":{"a":"s1\u0000.safetensors"}})", "must be a file name beside the index"},
    {"hidden_file", R"({"weight_map":{"a":".safetensors"}})", "must be a file name beside the index"},
    {"shard_name_is_empty", R"({"weight_map":{"a":""}})", "is not a .safetensors file"},
    {"shard_of_another_kind", R"({"weight_map":{"a":"s1.bin"}})", "\"s1.bin\" is not a .safetensors file"},
    {"shard_is_damaged", R"({"weight_map":{"a":"bad.safetensors"}})", "bad.safetensors: 5 bytes are too few"},
    {"tensor_absent_from_shard", R"({"weight_map":{"a":"s1.safetensors","b":"s1.safetensors"}})",
     "tensor \"b\" is not in \"s1.safetensors\", where the index has it"},
    {"tensor_in_two_shards", R"({"weight_map":{"a":"s1.safetensors","b":"both.safetensors"}})",
     "tensor \"a\" is in \"s1.safetensors\" and in \"both.safetensors\""},
    {"tensor_not_listed", R"({"weight_map":{"a":"both.safetensors"}})",
     "tensor \"b\" of \"both.safetensors\" is not in the index"},
};
INSTANTIATE_TEST_SUITE_P(All, IndexRefuses, testing::ValuesIn(kIndexes),
                         [](const auto& info) { return info.param.name; });

TEST(Malformed, FolderWithoutWeights) {
  TempFolder folder;
  expect_error(error_text([&] { SafetensorsSource source(folder.path()); }),
               "holds neither model.safetensors nor model.safetensors.index.json");
  expect_error(error_text([&] { SafetensorsSource source(folder.path("none")); }), "none: no such file");
}

}  // namespace
}  // namespace flashrt
