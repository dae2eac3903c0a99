// SPDX-License-Identifier: Apache-2.0
#include "flashrt/io/json.h"

#include <gtest/gtest.h>

#include <ostream>
#include <string>

#include "flashrt/io/test_files.h"

namespace flashrt {
namespace {

using test::error_text;
using test::expect_error;

JsonReader config(std::string_view text) { return JsonReader::parse(text, "config.json"); }

TEST(Json, ReadsTypedMembers) {
  JsonReader c = config(R"({"chunk_size": 50, "eps": 1e-6, "push": false, "type": "x", "shape": [3, 224, 224],
                           "stats": {"q01": [-1, 0.5], "q99": null}, "names": ["a", "b"]})");
  EXPECT_EQ(c.integer("chunk_size"), 50);
  EXPECT_DOUBLE_EQ(c.number("eps"), 1e-6);
  EXPECT_DOUBLE_EQ(c.number("chunk_size"), 50);
  EXPECT_FALSE(c.boolean("push"));
  EXPECT_EQ(c.string("type"), "x");
  EXPECT_EQ(c.at("shape").integers(), (std::vector<std::int64_t>{3, 224, 224}));
  EXPECT_EQ(c.at("names").strings(), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(c.at("stats").at("q01").numbers(), (std::vector<double>{-1, 0.5}));
  EXPECT_TRUE(c.at("stats").at("q99").is_null());
  EXPECT_FALSE(c.at("stats").has("q99"));
  EXPECT_EQ(c.members().size(), 7u);
  EXPECT_EQ(c.at("shape").elements()[1].where(), "config.json: key \"shape[1]\"");
}

TEST(Json, FallsBackOnlyForMissingAndNull) {
  JsonReader c = config(R"({"a": null, "b": "text"})");
  EXPECT_EQ(c.integer_or("a", 7), 7);
  EXPECT_EQ(c.integer_or("missing", 8), 8);
  EXPECT_DOUBLE_EQ(c.number_or("a", 0.5), 0.5);
  EXPECT_TRUE(c.boolean_or("a", true));
  EXPECT_EQ(c.string_or("b", "other"), "text");
  expect_error(error_text([&] { c.integer_or("b", 1); }), "config.json: key \"b\" must be an integer, is a string");
}

TEST(Json, ErrorsNameFileAndKey) {
  JsonReader c = config(R"({"a": {"b": [1, "x"]}, "n": 3, "f": 50.0, "big": 18446744073709551615})");
  expect_error(error_text([&] { c.at("a").at("b").numbers(); }),
               "config.json: key \"a.b[1]\" must be a number, is a string");
  expect_error(error_text([&] { c.at("a").at("c"); }), "config.json: key \"a.c\" is missing");
  expect_error(error_text([&] { c.integer("n", 4); }), "key \"n\" must be at least 4, is 3");
  expect_error(error_text([&] { c.integer("n", 0, 2); }), "key \"n\" must be at most 2, is 3");
  expect_error(error_text([&] { c.integer("f"); }), "key \"f\" must be an integer, is a number with a fraction");
  expect_error(error_text([&] { c.integer("big"); }), "must be at most 9223372036854775807, is 18446744073709551615");
  expect_error(error_text([&] { c.string("n"); }), "key \"n\" must be a string, is an integer");
  expect_error(error_text([&] { c.boolean("n"); }), "key \"n\" must be true or false, is an integer");
  expect_error(error_text([&] { c.at("n").elements(); }), "key \"n\" must be an array, is an integer");
  expect_error(error_text([&] { c.at("n").at("x"); }), "key \"n\" must be an object, is an integer");
  expect_error(error_text([&] { config("[1]").at("x"); }), "config.json: the document must be an object, is an array");
  expect_error(error_text([&] { c.only({"a", "n", "f"}); }), "config.json: key \"big\" is not known here");
  EXPECT_EQ(error_text([&] { c.only({"a", "n", "f", "big"}); }), "");
}

TEST(Json, AReaderKeepsItsDocument) {
  auto inner = [] { return config(R"({"a": {"b": 3}})").at("a"); }();
  EXPECT_EQ(inner.integer("b"), 3);
}

TEST(Json, TakesNestingUpToTheLimit) {
  EXPECT_EQ(error_text([] { config(std::string(64, '[') + std::string(64, ']')); }), "");
  expect_error(error_text([] { config(std::string(65, '[') + std::string(65, ']')); }), "nested deeper than 64 levels");
}

TEST(Json, ReadsFilesUpToTheLimit) {
  test::TempFolder folder;
  auto file = folder.write("c.json", R"({"a": 1})");
  EXPECT_EQ(JsonReader::read(file).integer("a"), 1);
  expect_error(error_text([&] { JsonReader::read(file, {.max_bytes = 7}); }), "8 bytes of JSON are more than the 7");
}

TEST(Json, QuotesTextFromFiles) {
  EXPECT_EQ(in_quotes("a\nb\"\x01"), R"("a\nb\"\u0001")");
  EXPECT_EQ(in_quotes(std::string(1000, 'x')).size(), 245u);
}

struct BadText {
  std::string name, text, cause;
};
void PrintTo(const BadText& bad, std::ostream* out) { *out << bad.name; }

class JsonRefuses : public testing::TestWithParam<BadText> {};

TEST_P(JsonRefuses, WithTheCause) {
  std::string text = error_text([] { config(GetParam().text); });
  expect_error(text, GetParam().cause);
  expect_error(text, "config.json: ");
}

INSTANTIATE_TEST_SUITE_P(
    All, JsonRefuses,
    testing::Values(BadText{"empty", "", "not valid JSON"}, BadText{"cut", R"({"a": [1, 2)", "unexpected end of input"},
                    BadText{"trailing_text", R"({"a": 1} x)", "expected end of input"},
                    BadText{"second_document", "{}{}", "expected end of input"},
                    BadText{"trailing_zero_byte", std::string("{}\0x", 4), "zero byte"},
                    BadText{"zero_byte_in_key", std::string("{\"a\0\": 1}", 9), "zero byte"},
                    BadText{"duplicate_key", R"({"a": 1, "a": 1})", "key \"a\" appears twice"},
                    BadText{"nested_duplicate_key", R"({"a": [{"b": 1, "c": 2, "b": 3}]})", "key \"b\" appears twice"},
                    BadText{"escaped_duplicate_key", R"({"a": 1, "\u0061": 2})", "key \"a\" appears twice"},
                    BadText{"deep_objects",
                            [] {
                              std::string s;
                              for (int i = 0; i < 100000; ++i) s += "{\"a\":";
                              return s;
                            }(),
                            "nested deeper than 64 levels"},
                    BadText{"deep_arrays", std::string(1000000, '['), "nested deeper than 64 levels"},
                    BadText{"not_utf8", "{\"a\": \"\xff\"}", "UTF-8"},
                    BadText{"overlong_utf8", "{\"a\": \"\xc0\xaf\"}", "UTF-8"},
                    BadText{"surrogate_utf8", "{\"a\": \"\xed\xa0\x80\"}", "UTF-8"},
                    BadText{"cut_utf8", "{\"a\": \"\xe2\x82\"}", "UTF-8"},
                    BadText{"lone_surrogate_escape", R"({"a": "\ud800"})", "surrogate"},
                    BadText{"nan", R"({"a": NaN})", "invalid literal"},
                    BadText{"infinity", R"({"a": -Infinity})", "invalid"},
                    BadText{"overflowing_float", R"({"a": 1e999})", "number overflow"},
                    BadText{"huge_integer", R"({"a": 18446744073709551616})", "does not fit 64 bits"},
                    BadText{"huge_negative_integer", R"({"a": -9223372036854775809})", "does not fit 64 bits"},
                    BadText{"leading_zero", R"({"a": 01})", "expected"}, BadText{"comment", "{} // c", "invalid"},
                    BadText{"single_quotes", "{'a': 1}", "expected"}, BadText{"trailing_comma", "[1,]", "expected"},
                    BadText{"control_character", "{\"a\": \"\n\"}", "control character"},
                    BadText{"python_literal", R"({"a": None})", "invalid literal"},
                    BadText{"long_token", std::string("[\"").append(100000, 'x').append("\n\"]"), "..."}),
    [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace flashrt
