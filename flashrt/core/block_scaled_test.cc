// SPDX-License-Identifier: Apache-2.0
#include "flashrt/core/block_scaled.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "flashrt/core/error.h"

namespace flashrt {
namespace {

TEST(BlockScaled, ErrorIsBoundedByHalfAStepOfEachBlock) {
  Arena arena(1 << 20);
  for (DType values : {DType::f4_e2m1, DType::f8_e4m3})
    for (DType scales : {DType::f8_e4m3, DType::f32}) {
      Tensor x = arena.tensor({5, 48}, DType::f32);
      std::mt19937 random(3);
      std::normal_distribution<float> normal;
      for (std::int64_t i = 0; i < x.elements(); ++i) x.as<float>()[i] = normal(random) * (i % 48 < 16 ? 0.01f : 1.0f);
      BlockScaled b = block_scaled(arena, 5, 48, values, scales);
      quantize(x, b);
      for (std::int64_t n = 0; n < 5; ++n)
        for (std::int64_t k = 0; k < 48; ++k) {
          float most = 0;
          for (std::int64_t j = 0; j < 16; ++j) most = std::max(most, std::fabs(x.row<float>(n)[k / 16 * 16 + j]));
          // The widest step of e2m1 is 2 of 6, of e4m3 32 of 448; an e4m3 scale may be off by 1/16 itself.
          float bound = most * (values == DType::f4_e2m1 ? 1.0f / 6 : 1.0f / 28) + most * 0.07f;
          EXPECT_NEAR(b.at(n, k), x.row<float>(n)[k], bound) << name(values) << name(scales) << n << " " << k;
        }
    }
}

TEST(BlockScaled, BytesAndErrors) {
  Arena arena(1 << 16);
  BlockScaled b = block_scaled(arena, 3, 32);
  EXPECT_EQ(b.bytes(), 3 * 16 + 3 * 2);
  EXPECT_EQ(b.at(2, 31), 0.0f);
  EXPECT_THROW(block_scaled(arena, 3, 33), Error);
  EXPECT_THROW(block_scaled(arena, 3, 32, DType::bf16), Error);
  Tensor x = arena.tensor({3, 32}, DType::f32);
  x.as<float>()[7] = NAN;
  EXPECT_THROW(quantize(x, b), Error);
  EXPECT_THROW(quantize(x.cols(0, 16), b), Error);
}

}  // namespace
}  // namespace flashrt
