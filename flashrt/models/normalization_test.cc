// SPDX-License-Identifier: Apache-2.0
// Normalisation against the published formulas, computed by hand.
#include "flashrt/models/normalization.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "flashrt/io/test_files.h"

namespace flashrt {
namespace {

using Rule = Normalizer::Rule;

TEST(Normalizer, QuantilesOfLerobot) {
  Normalizer n(Rule::quantiles, {-2, 0, 5}, {2, 8, 5}, "state");
  std::vector<float> x{-2, 8, 5};
  EXPECT_EQ(n.forward(x), (std::vector<double>{-1, 1, -1}));
  x = {0, 2, 5};
  EXPECT_EQ(n.forward(x), (std::vector<double>{0, -0.5, -1}));
  // A range of exactly zero is replaced by 1e-8.
  x = {0, 0, 6};
  EXPECT_NEAR(n.forward(x)[2] / 2e8, 1, 1e-6);
  // What lies outside is not clipped.
  x = {4, -4, 5};
  EXPECT_EQ(n.forward(x)[0], 2);
  EXPECT_EQ(n.forward(x)[1], -2);
  auto back = n.inverse(4);
  EXPECT_EQ(back.scale, (std::vector<float>{2, 4, 0.5e-8f, 1}));
  EXPECT_EQ(back.offset, (std::vector<float>{0, 4, 5, 0}));
}

TEST(Normalizer, QuantilesOfOpenpi) {
  Normalizer n(Rule::quantiles_padded, {-2, 5}, {2, 5}, "state");
  std::vector<float> x{2, 5};
  EXPECT_DOUBLE_EQ(n.forward(x)[0], 4 / (4 + 1e-6) * 2 - 1);
  EXPECT_DOUBLE_EQ(n.forward(x)[1], -1);
  // The statistics may be longer than the state.
  x = {2};
  EXPECT_EQ(n.forward(x).size(), 1u);
  auto back = n.inverse(3);
  EXPECT_FLOAT_EQ(back.scale[0], (4 + 1e-6f) / 2);
  EXPECT_FLOAT_EQ(back.offset[1], 5);
  EXPECT_EQ(back.scale[2], 1);
  EXPECT_EQ(back.offset[2], 0);
}

TEST(Normalizer, MeanAndDeviation) {
  Normalizer n(Rule::mean_std, {1, 3}, {2, 0}, "state");
  std::vector<float> x{5, 3};
  EXPECT_EQ(n.forward(x), (std::vector<double>{2, 0}));
  x = {1, 4};
  EXPECT_NEAR(n.forward(x)[1] / 1e8, 1, 1e-6);
  // The way back has no epsilon.
  auto back = n.inverse(2);
  EXPECT_EQ(back.scale, (std::vector<float>{2, 0}));
  EXPECT_EQ(back.offset, (std::vector<float>{1, 3}));
}

TEST(Normalizer, IdentityTakesAnyWidth) {
  Normalizer n;
  std::vector<float> x{1, -2, 3};
  EXPECT_TRUE(n.identity());
  EXPECT_EQ(n.width(), 0);
  EXPECT_EQ(n.forward(x), (std::vector<double>{1, -2, 3}));
  EXPECT_EQ(n.inverse(2).scale, (std::vector<float>{1, 1}));
}

// State bins have edges at multiples of 1/128, so the last bit of a normalised value decides. lerobot computes in f32,
// openpi in double.
TEST(Normalizer, RoundsAsItsFrameworkDoes) {
  const double lo = 0.1, hi = 0.9;
  std::vector<float> x{0.7f};
  auto l = static_cast<float>(lo), h = static_cast<float>(hi);
  float range = h - l, shifted = 2.0f * (x[0] - l);
  EXPECT_EQ(Normalizer(Rule::quantiles, {lo}, {hi}, "s").forward(x)[0], double{shifted / range - 1.0f});
  double exact = (double{x[0]} - lo) / (hi - lo + 1e-6) * 2.0 - 1.0;
  double padded = Normalizer(Rule::quantiles_padded, {lo}, {hi}, "s").forward(x)[0];
  EXPECT_EQ(padded, exact);
  EXPECT_NE(padded, double{static_cast<float>(padded)});
}

TEST(Normalizer, GoesThereAndBack) {
  for (Rule rule : {Rule::quantiles, Rule::mean_std, Rule::quantiles_padded}) {
    Normalizer n(rule, {-3, 0.5, 10}, {4, 0.75, 1000}, "state");
    std::vector<float> x{1.5f, 0.6f, 77};
    std::vector<double> y = n.forward(x);
    auto back = n.inverse(3);
    for (std::size_t i = 0; i < 3; ++i)
      EXPECT_NEAR(y[i] * double{back.scale[i]} + double{back.offset[i]}, double{x[i]}, 1e-4 * double{x[i]});
  }
}

TEST(Normalizer, RefusesStatisticsThatCannotBe) {
  auto refusal = [](Rule rule, std::vector<double> a, std::vector<double> b) {
    return test::error_text([&] { Normalizer(rule, a, b, "arm"); });
  };
  constexpr double kInf = std::numeric_limits<double>::infinity();
  test::expect_error(refusal(Rule::quantiles, {1, 2}, {3}), "arm: statistics have 2 and 1 values");
  test::expect_error(refusal(Rule::quantiles, {}, {}), "arm: statistics have 0 and 0 values");
  test::expect_error(refusal(Rule::quantiles, {1, 2}, {3, 1}), "the range of dimension 1 is reversed (2 to 1)");
  test::expect_error(refusal(Rule::quantiles_padded, {std::nan("")}, {1}), "dimension 0 is not finite");
  test::expect_error(refusal(Rule::mean_std, {0, 0}, {1, kInf}), "dimension 1 is not finite");
  // f32 ends at 3.4e38: a bound beyond it, and a range beyond it between bounds that fit.
  test::expect_error(refusal(Rule::mean_std, {0, 1e39}, {1, 1}), "arm: the statistic of dimension 1 (1e+39 and 1)");
  test::expect_error(refusal(Rule::mean_std, {0}, {1e39}), "is too large for f32");
  test::expect_error(refusal(Rule::quantiles, {-3e38}, {3e38}), "is too large for f32");
  test::expect_error(refusal(Rule::quantiles_padded, {0}, {1e39}), "is too large for f32");
  EXPECT_EQ(refusal(Rule::quantiles, {-1e38}, {1e38}), "");
  test::expect_error(refusal(Rule::mean_std, {0}, {-1}), "the standard deviation of dimension 0 is negative");
  std::vector<float> two{1, 2};
  test::expect_error(test::error_text([&] { Normalizer(Rule::quantiles, {0}, {1}, "arm").forward(two); }),
                     "2 values given, statistics cover 1");
}

}  // namespace
}  // namespace flashrt
