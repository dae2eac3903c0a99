// SPDX-License-Identifier: Apache-2.0
#include "flashrt/ops/noise/noise.h"

#include "flashrt/ops/noise/normal.h"
#include "flashrt/ops/op_test.h"

namespace flashrt {
namespace {

using Key = std::array<std::uint32_t, 2>;
using Words = std::array<std::uint32_t, 4>;

// The known answers published with Random123 for philox4x32, 10 rounds.
TEST(Philox, KnownAnswers) {
  EXPECT_EQ(philox(Key{0, 0}, Words{0, 0, 0, 0}), (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox(Key{0xffffffff, 0xffffffff}, Words{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}),
            (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox(Key{0xa4093822, 0x299f31d0}, Words{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Philox, KeyAndCounterAreTheLowAndHighHalves) {
  EXPECT_EQ(noise_words(0x299f31d0a4093822, 0x0370734413198a2e, 0x85a308d3243f6a88),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

Noise make(TestMemory& m, std::int64_t C, std::int64_t A, NoiseKey key) {
  return {.key = m.value(key), .given = m.random({C, A}, DType::f32), .y = m.output({C, A}, DType::f32)};
}

TEST(Noise, EveryRowFollowsTheDefinition) {
  for (auto [C, A] : {std::pair{1, 1}, {50, 32}, {10, 7}, {3, 5}, {2, 18}}) {
    TestMemory m;
    op_test(m, make(m, C, A, {.seed = 0x123456789abcdef0, .stream = 7}), {.abs = 1e-15, .rel = 2e-7});
  }
}

TEST(Noise, GivenNoiseIsCopied) {
  TestMemory m;
  op_test(m, make(m, 10, 7, {.seed = 1, .given = true}), {}, [](const Noise& done) {
    for (std::int64_t a = 0; a < 7; ++a) EXPECT_EQ(done.y.row<float>(9)[a], done.given.row<float>(9)[a]);
  });
}

TEST(Noise, TheBitsAreTheSameOnEveryMachine) {
  float z[6];
  normals(42, 0, 0, 6, z);
  const std::uint32_t expected[6] = {0xbf785e5c, 0x3e46ace8, 0xbf9e28d2, 0x3ff6433b, 0xbd95e030, 0x3e0e7a0f};
  for (int i = 0; i < 6; ++i) EXPECT_EQ(std::bit_cast<std::uint32_t>(z[i]), expected[i]) << i << ": " << z[i];
}

TEST(Noise, AnyStretchOfTheSequenceIsTheSame) {
  float all[40], part[40];
  normals(3, 9, 0, 40, all);
  for (std::uint64_t first = 0; first < 9; ++first)
    for (std::int64_t n = 0; n < 20; ++n) {
      normals(3, 9, first, n, part);
      for (std::int64_t i = 0; i < n; ++i) ASSERT_EQ(part[i], all[first + static_cast<std::uint64_t>(i)]);
    }
}

TEST(Noise, SeedsAndStreamsDiffer) {
  float a[4], b[4];
  normals(0, 0, 0, 4, a);
  for (auto [seed, stream] : {std::pair{1, 0}, {0, 1}}) {
    normals(static_cast<std::uint64_t>(seed), static_cast<std::uint64_t>(stream), 0, 4, b);
    for (int i = 0; i < 4; ++i) EXPECT_NE(a[i], b[i]);
  }
}

// Bounds of six standard errors.
TEST(Noise, MomentsAndTailsAreNormal) {
  constexpr std::int64_t kCount = 400000;
  std::vector<float> z(kCount);
  normals(2024, 5, 0, kCount, z.data());
  double m1 = 0, m2 = 0, m3 = 0, m4 = 0, neighbours = 0, beyond = 0, largest = 0;
  for (std::size_t i = 0; i < z.size(); ++i) {
    const double v = z[i];
    m1 += v, m2 += v * v, m3 += v * v * v, m4 += v * v * v * v;
    if (i) neighbours += v * z[i - 1];
    beyond += std::fabs(v) > 1.959964;
    largest = std::max(largest, std::fabs(v));
  }
  const double n = kCount, root = std::sqrt(n);
  EXPECT_NEAR(m1 / n, 0, 6 / root);
  EXPECT_NEAR(m2 / n, 1, 6 * std::sqrt(2) / root);
  EXPECT_NEAR(m3 / n, 0, 6 * std::sqrt(15) / root);
  EXPECT_NEAR(m4 / n, 3, 6 * std::sqrt(96) / root);
  EXPECT_NEAR(neighbours / n, 0, 6 / root);
  EXPECT_NEAR(beyond / n, 0.05, 6 * std::sqrt(0.05 * 0.95) / root);
  EXPECT_GT(largest, 4);
  EXPECT_LT(largest, 6.8);
}

TEST(Noise, RefusesWrongArguments) {
  TestMemory m;
  const Noise good = make(m, 2, 4, {});
  Noise op = good;
  op.key = nullptr;
  expect_refused(op, "key is null");
  op = good;
  op.given = {};
  expect_refused(op, "given is not set; it must be f32[2, 4]");
  op = good;
  op.y = m.output({2, 4}, DType::bf16);
  expect_refused(op, "y is bf16[2, 4]; it must be f32[2, 4]");
}

}  // namespace
}  // namespace flashrt
