// SPDX-License-Identifier: Apache-2.0
#include "flashrt/io/random_source.h"

#include <gtest/gtest.h>

#include <cmath>

#include "flashrt/io/test_files.h"

namespace flashrt {
namespace {

TEST(RandomSource, HasTheDeclaredMoments) {
  RandomSource source(3);
  source.declare("w", {512, 512}, 0.02f, 1.0f);
  auto v = source.read("w");
  double sum = 0, squares = 0, top = 0;
  for (float x : v) {
    sum += x - 1.0;
    squares += (x - 1.0) * (x - 1.0);
    top = std::max(top, std::fabs(x - 1.0));
  }
  auto n = static_cast<double>(v.size());
  EXPECT_NEAR(sum / n, 0.0, 0.0002);
  EXPECT_NEAR(std::sqrt(squares / n), 0.02, 0.0002);
  EXPECT_GT(top, 0.06);
  EXPECT_LT(top, 0.07);
}

TEST(RandomSource, NeighboursAreUncorrelated) {
  RandomSource source;
  source.declare("w", {1 << 18}, 1.0f);
  auto v = source.read("w");
  for (std::size_t lag : {1u, 2u, 64u, 2048u}) {
    double dot = 0;
    for (std::size_t i = lag; i < v.size(); ++i) dot += double{v[i]} * v[i - lag];
    EXPECT_NEAR(dot / static_cast<double>(v.size()), 0.0, 0.01) << lag;
  }
}

TEST(RandomSource, IsAPureFunctionOfSeedNameAndIndex) {
  RandomSource a(1), b(1), c(2);
  for (auto* s : {&a, &b, &c}) {
    s->declare("x", {20, 7}, 1.0f);
    s->declare("y", {140}, 1.0f);
  }
  EXPECT_EQ(a.read("x"), b.read("x"));
  EXPECT_EQ(a.read("x"), a.read("x"));
  EXPECT_NE(a.read("x"), c.read("x"));
  EXPECT_NE(a.read("x"), a.read("y"));
  std::vector<float> rows(14);
  a.read_rows("x", 5, 2, rows.data());
  auto whole = b.read("x");
  EXPECT_TRUE(std::equal(rows.begin(), rows.end(), whole.begin() + 35));
}

TEST(RandomSource, ReadsRowsOnBothSidesOfFourGigaElements) {
  RandomSource source;
  source.declare("w", {std::int64_t{1} << 33, 1}, 1.0f);
  std::vector<float> across(8), left(4), right(4), origin(4);
  std::int64_t edge = std::int64_t{1} << 32;
  source.read_rows("w", edge - 4, 8, across.data());
  source.read_rows("w", edge - 4, 4, left.data());
  source.read_rows("w", edge, 4, right.data());
  source.read_rows("w", 0, 4, origin.data());
  EXPECT_TRUE(std::equal(left.begin(), left.end(), across.begin()));
  EXPECT_TRUE(std::equal(right.begin(), right.end(), across.begin() + 4));
  EXPECT_NE(right, origin);
}

TEST(RandomSource, KnowsOnlyWhatWasDeclared) {
  RandomSource source;
  source.declare("w", {2, 3}, 1.0f);
  source.declare("w", {2, 3}, 1.0f);
  EXPECT_EQ(to_string(*source.find("w")), "F32[2, 3]");
  EXPECT_EQ(source.find("v"), nullptr);
  test::expect_error(test::error_text([&] { source.declare("w", {3, 2}, 1.0f); }), "was declared before as F32[2, 3]");
  test::expect_error(test::error_text([&] { source.declare("v", {-1}, 1.0f); }), "cannot have shape [-1]");
}

}  // namespace
}  // namespace flashrt
