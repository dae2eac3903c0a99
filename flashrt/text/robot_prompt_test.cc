// SPDX-License-Identifier: Apache-2.0
#include "flashrt/text/robot_prompt.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "flashrt/core/error.h"
#include "flashrt/text/utf8.h"

namespace flashrt {
namespace {

using Bins = std::vector<int>;

TEST(RobotPrompt, CleansAsPythonDoes) {
  EXPECT_EQ(clean_task(" hello_"), "hello ");
  EXPECT_EQ(clean_task("pick_up\nblock"), "pick up block");
  EXPECT_EQ(clean_task("\n\t pick \r\n"), "pick");
  EXPECT_EQ(clean_task("_a_"), " a ");
  EXPECT_EQ(clean_task("a\tb\rc"), "a\tb\rc");
  EXPECT_EQ(clean_task(""), "");
  EXPECT_EQ(clean_task(" \n "), "");
}

TEST(RobotPrompt, StripsEveryWhiteSpaceOfUnicode) {
  for (const char* space :
       {"\x09",   "\x0a",   "\x0b",   "\x0c",   "\x0d",   "\x1c",   "\x1d",   "\x1e",   "\x1f",   " ",     "\u0085",
        "\u00a0", "\u1680", "\u2000", "\u2005", "\u200a", "\u2028", "\u2029", "\u202f", "\u205f", "\u3000"}) {
    std::string text = std::string(space).append("x").append(space).append("y").append(space).append(space);
    EXPECT_EQ(clean_task(text).substr(0, 1), "x");
    EXPECT_EQ(clean_task(text).back(), 'y');
  }
  for (const char* other : {"\u200b", "\u2060", "\ufeff", "\u180e", "\x08", "\x7f", "\u2007\u200b"})
    EXPECT_EQ(clean_task(std::string(other).append("x")).back(), 'x');
  EXPECT_EQ(clean_task("\u200bx"), "\u200bx");
  EXPECT_EQ(clean_task("\ufeffx"), "\ufeffx");
}

TEST(RobotPrompt, RefusesTextThatIsNotUtf8) {
  for (const char* bad :
       {"\xff", "a\xc0\xaf", "\xed\xa0\x80", "\xe2\x82", "\xf4\x90\x80\x80", "\x80", "\xf8\x88\x80\x80\x80"}) {
    EXPECT_THROW(clean_task(bad), Error) << bad;
    EXPECT_FALSE(is_utf8(bad));
  }
  EXPECT_TRUE(is_utf8("a\u00e9\u2581\U0001f916\U0010ffff"));
}

TEST(RobotPrompt, BinsOfTheGoldenValues) {
  EXPECT_EQ(state_bins(std::vector<double>{-1, 0, 1, 0.1, 0.2, -1.01, 0.9921875, 0.99, 5, -5}),
            (Bins{0, 128, 255, 140, 153, -1, 255, 254, 255, -1}));
  EXPECT_EQ(state_bins(std::vector<float>{-1, 0, 1, 0.1f, 0.2f}), (Bins{0, 128, 255, 140, 153}));
  EXPECT_EQ(state_bins(std::vector<float>{}), Bins{});
}

TEST(RobotPrompt, BinsCountTheEdgesBelow) {
  double tiny = std::numeric_limits<double>::denorm_min();
  EXPECT_EQ(state_bins(std::vector<double>{-tiny, tiny}), (Bins{127, 128}));
  for (int i = 0; i < 256; ++i) {
    double edge = -1.0 + 2.0 * i / 256.0;
    double below = std::nextafter(edge, -2.0), above = std::nextafter(edge, 2.0);
    EXPECT_EQ(state_bins(std::vector<double>{below, edge, above}), (Bins{i - 1, i, i})) << i;
    auto narrow = static_cast<float>(edge);
    EXPECT_EQ(state_bins(std::vector<float>{std::nextafterf(narrow, -2.0f), narrow, std::nextafterf(narrow, 2.0f)}),
              (Bins{i - 1, i, i}))
        << i;
  }
}

TEST(RobotPrompt, RefusesAStateThatIsNotFinite) {
  try {
    state_bins(std::vector<double>{0, std::nan("")});
    FAIL();
  } catch (const Error& e) {
    EXPECT_STREQ(e.what(), "state[1] is nan; the state must be finite numbers");
  }
  EXPECT_THROW(state_bins(std::vector<float>{std::numeric_limits<float>::infinity()}), Error);
}

TEST(RobotPrompt, ComposesTheGoldenTexts) {
  EXPECT_EQ(state_prompt("pick_up\nblock", state_bins(std::vector<double>{-1, 0, 1})),
            "Task: pick up block, State: 0 128 255;\nAction: ");
  EXPECT_EQ(state_prompt(" a_", Bins{-1}), "Task: a , State: -1;\nAction: ");
  EXPECT_EQ(state_prompt("a", Bins{}), "Task: a, State: ;\nAction: ");
  EXPECT_EQ(plain_prompt(" hello_"), "hello ");
}

}  // namespace
}  // namespace flashrt
