// SPDX-License-Identifier: Apache-2.0
// Packed panels against the layout of core/packed_rhs.h, element by element.
#include "flashrt/quant/packing.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "flashrt/core/error.h"
#include "flashrt/core/packed_rhs.h"

namespace flashrt {
namespace {

std::vector<float> random_rows(std::int64_t n) {
  std::mt19937 random(static_cast<unsigned>(n));
  std::normal_distribution<float> normal;
  std::vector<float> v(static_cast<std::size_t>(n));
  for (float& x : v) x = normal(random);
  return v;
}

struct Packed {
  std::vector<std::byte> memory;
  Tensor tensor;
  float scale[kPanel]{};

  Packed(const std::vector<float>& rows, std::int64_t count, std::int64_t K, DType dtype)
      : memory(static_cast<std::size_t>(packed_rhs_bytes({kPanel, K}, dtype)), std::byte{0xa5}),
        tensor(packed_rhs(memory.data(), {kPanel, K}, dtype)) {
    pack_panel(rows.data(), count, K, dtype, memory.data(), scale);
  }
  float at(std::int64_t n, std::int64_t k) const { return packed_value(tensor, 0, n, k); }
};

TEST(PackPanel, PutsEveryElementInItsPlace) {
  for (std::int64_t K : {1, 2, 3, 4, 5, 63, 64, 65, 130})
    for (std::int64_t count : {0, 1, 15, 31, 32}) {
      std::vector<float> rows = random_rows(count * K);
      Packed f(rows, count, K, DType::f32), b(rows, count, K, DType::bf16), q(rows, count, K, DType::i8);
      for (std::int64_t n = 0; n < kPanel; ++n) {
        float peak = 0;
        for (std::int64_t k = 0; k < K && n < count; ++k)
          peak = std::max(peak, std::fabs(rows[static_cast<std::size_t>(n * K + k)]));
        if (n < count) {
          EXPECT_EQ(q.scale[n], peak / 127.0f);
        }
        for (std::int64_t k = 0; k < K; ++k) {
          float w = n < count ? rows[static_cast<std::size_t>(n * K + k)] : 0.0f;
          ASSERT_EQ(f.at(n, k), w) << n << ", " << k << " of " << count << " x " << K;
          ASSERT_EQ(b.at(n, k), from_bf16(to_bf16(w)));
          float i = q.at(n, k);
          ASSERT_EQ(i, std::round(i));
          ASSERT_LE(std::fabs(i), 127);
          ASSERT_LE(std::fabs(i * q.scale[n] - w), n < count ? q.scale[n] * 0.5001f : 0.0f);
        }
      }
    }
}

TEST(PackPanel, PadsTheLastGroupWithZeros) {
  std::vector<float> rows = random_rows(32 * 5);
  Packed b(rows, 32, 5, DType::bf16), q(rows, 32, 5, DType::i8);
  auto* half = reinterpret_cast<const std::uint16_t*>(b.memory.data());
  for (std::int64_t n = 0; n < kPanel; ++n) {
    EXPECT_EQ(half[(2 * kPanel + n) * 2 + 1], 0);
    for (std::int64_t k = 5; k < 8; ++k)
      EXPECT_EQ(static_cast<int>(q.memory[static_cast<std::size_t>((kPanel + n) * 4 + k % 4)]), kPackedBias);
  }
}

TEST(PackPanel, QuantisesRowsByTheirPeak) {
  // Halves round to even; the peak is 127 with either sign; a row of zeros has scale 1.
  std::vector<float> rows{127, 0.5f, 1.5f, -2.5f, -254, 2, 3, 0, 0, 0, 0, 0};
  Packed q(rows, 3, 4, DType::i8);
  EXPECT_EQ(q.scale[0], 1);
  EXPECT_EQ(q.scale[1], 2);
  EXPECT_EQ(q.scale[2], 1);
  const float expected[3][4] = {{127, 0, 2, -2}, {-127, 1, 2, 0}, {0, 0, 0, 0}};
  for (std::int64_t n = 0; n < 3; ++n)
    for (std::int64_t k = 0; k < 4; ++k) EXPECT_EQ(q.at(n, k), expected[n][k]) << n << ", " << k;
}

TEST(PackPanel, RefusesOtherTypesAndCounts) {
  float row[4] = {};
  std::byte panel[4096];
  for (DType t : {DType::f16, DType::i32, DType::u8, DType::f8_e4m3, DType::f4_e2m1})
    EXPECT_THROW(pack_panel(row, 1, 4, t, panel, nullptr), Error) << name(t);
  EXPECT_THROW(pack_panel(row, 33, 4, DType::f32, panel, nullptr), Error);
  EXPECT_THROW(pack_panel(row, -1, 4, DType::f32, panel, nullptr), Error);
}

}  // namespace
}  // namespace flashrt
