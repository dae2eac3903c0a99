// SPDX-License-Identifier: Apache-2.0
#include "flashrt/io/npy.h"

#include <gtest/gtest.h>

#include "flashrt/io/test_files.h"

namespace flashrt {
namespace {

using test::error_text;
using test::expect_error;

std::string npy(std::string_view header, std::string_view data, int version = 1) {
  std::string out = "\x93NUMPY";
  out += static_cast<char>(version);
  out += '\0';
  for (int i = 0; i < (version == 1 ? 2 : 4); ++i) out += static_cast<char>(header.size() >> (8 * i));
  return out.append(header).append(data);
}
std::string header(std::string_view descr, std::string_view shape) {
  return fmt::format("{{'descr': {}, 'fortran_order': False, 'shape': {}, }}\n", descr, shape);
}
NpyArray parse(const std::string& file) {
  return parse_npy({reinterpret_cast<const std::byte*>(file.data()), file.size()}, "x.npy");
}
template <class T>
std::string raw(std::initializer_list<T> values) {
  return {reinterpret_cast<const char*>(values.begin()), values.size() * sizeof(T)};
}

TEST(Npy, ReadsItsFourTypesAndThreeVersions) {
  EXPECT_EQ(parse(npy(header("'<f4'", "(2,)"), raw<float>({1, -2.5f}))).floats(), (std::vector<float>{1, -2.5f}));
  EXPECT_EQ(parse(npy(header("'<f8'", "(1, 2)"), raw<double>({0.5, 3}))).floats(), (std::vector<float>{0.5f, 3}));
  EXPECT_EQ(parse(npy(header("'|u1'", "(3,)"), "\x01\x02\xff", 2)).floats(), (std::vector<float>{1, 2, 255}));
  EXPECT_EQ(parse(npy(header("'<i8'", "()"), raw<std::int64_t>({-7}), 3)).floats(), std::vector<float>{-7});
  NpyArray empty = parse(npy(header("'<f4'", "(0, 7)"), ""));
  EXPECT_EQ(empty.shape, (std::vector<std::int64_t>{0, 7}));
  EXPECT_EQ(empty.floats(), std::vector<float>{});
  EXPECT_EQ(parse(npy("{\"shape\":(1,),\"fortran_order\":False,\"descr\":\"|u1\"}", "a")).shape,
            std::vector<std::int64_t>{1});
}

TEST(Npy, RoundTrips) {
  test::TempFolder folder;
  std::vector<float> values(60);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i) / 7;
  for (std::vector<std::int64_t> shape : {std::vector<std::int64_t>{60}, {3, 20}, {1, 5, 3, 4}}) {
    write_npy(folder.path("x.npy"), shape, values);
    NpyArray back = read_npy(folder.path("x.npy"));
    EXPECT_EQ(back.shape, shape);
    EXPECT_EQ(back.floats(), values);
    EXPECT_EQ((folder.read("x.npy").size() - 240) % 64, 0u);
  }
  write_npy(folder.path("s.npy"), {}, std::vector<float>{3});
  EXPECT_EQ(folder.read("s.npy").substr(10, 56), "{'descr': '<f4', 'fortran_order': False, 'shape': (), } ");
  expect_error(error_text([&] { write_npy(folder.path("x.npy"), std::vector<std::int64_t>{7}, values); }),
               "shape [7] does not hold 60 values");
  expect_error(error_text([&] { write_npy(folder.path("none/x.npy"), std::vector<std::int64_t>{60}, values); }),
               "cannot be written");
}

struct BadNpy {
  std::string name, file, cause;
};
void PrintTo(const BadNpy& bad, std::ostream* out) { *out << bad.name; }

class NpyRefuses : public testing::TestWithParam<BadNpy> {};

TEST_P(NpyRefuses, WithTheCause) {
  std::string text = error_text([] { parse(GetParam().file); });
  expect_error(text, GetParam().cause);
  expect_error(text, "x.npy: ");
}

const BadNpy kBad[] = {
    {"no_magic", "PK\x03\x04", "is not a .npy file"},
    {"empty", "", "is not a .npy file"},
    {"cut_in_version", "\x93NUMPY\x01", "is cut in the version"},
    {"unknown_version", npy(header("'<f4'", "()"), "abcd", 4), "has version 4.0"},
    {"cut_in_length", std::string("\x93NUMPY\x01\0\x10", 9), "is cut in the length"},
    {"cut_in_header", npy(header("'<f4'", "(1,)"), "").substr(0, 30), "is cut in the header"},
    {"huge_header", std::string("\x93NUMPY\x02\0\xff\xff\xff\xff", 12), "a header of 4294967295 bytes"},
    {"big_endian", npy(header("'>f4'", "(1,)"), "abcd"), "elements of type \">f4\""},
    {"object", npy(header("'|O'", "(1,)"), "abcd"), "elements of type \"|O\""},
    {"half", npy(header("'<f2'", "(1,)"), "ab"), "elements of type \"<f2\""},
    {"records", npy(header("[('a', '<f4')]", "(1,)"), "abcd"), "holds records"},
    {"fortran", npy("{'descr': '<f4', 'fortran_order': True, 'shape': (1, 1)}", "abcd"), "is in Fortran order"},
    {"bad_order", npy("{'descr': '<f4', 'fortran_order': 0, 'shape': (1, 1)}", "abcd"), "must be True or False"},
    {"short_data", npy(header("'<f4'", "(2,)"), "abcd"), "F32[2] takes 8 bytes, the file has 4"},
    {"long_data", npy(header("'<f4'", "(1,)"), "abcde"), "F32[1] takes 4 bytes, the file has 5"},
    {"negative_shape", npy(header("'<f4'", "(-1,)"), ""), "the shape needs whole numbers"},
    {"float_shape", npy(header("'<f4'", "(1.0,)"), "abcd"), "the header needs ')'"},
    {"overflowing_shape", npy(header("'<f4'", "(4294967296, 4294967296)"), ""), "is too large"},
    {"overflow_behind_zero", npy(header("'<f4'", "(0, 4294967296, 4294967296)"), ""), "is too large"},
    {"number_beyond_64_bits", npy(header("'<f4'", "(99999999999999999999,)"), ""), "whole numbers"},
    {"no_comma", npy(header("'<f4'", "(1)"), "abcd"), "needs a comma"},
    {"nine_dimensions", npy(header("'|u1'", "(1, 1, 1, 1, 1, 1, 1, 1, 1)"), "a"), "more than 8 dimensions"},
    {"missing_shape", npy("{'descr': '<f4', 'fortran_order': False}", ""), "needs descr, fortran_order and shape"},
    {"unknown_key", npy("{'x': '<f4'}", ""), "the key \"x\" is not known"},
    {"double_key", npy("{'shape': (), 'shape': ()}", ""), "the key \"shape\" appears twice"},
    {"open_string", npy("{'descr", ""), "ends within a string"},
    {"no_braces", npy("'descr'", ""), "the header needs '{'"},
    {"code_after", npy(header("'|u1'", "(1,)").append("+ f()"), "a"), "the header goes on with \"+ f()\""},
};
INSTANTIATE_TEST_SUITE_P(All, NpyRefuses, testing::ValuesIn(kBad), [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace flashrt
