// SPDX-License-Identifier: Apache-2.0
// A matrix stored with one scale for every few elements of a row: fp4 e2m1 with fp8 e4m3 scales (NVFP4), or fp8 values.
#pragma once

#include "flashrt/core/arena.h"

namespace flashrt {

// Element (n, k) is values(n, k) * scales(n, k / block) * global_scale.
struct BlockScaled {
  Tensor values;  // [N, K] f4_e2m1 (two a byte, low nibble first) or f8_e4m3
  Tensor scales;  // [N, K / block] f8_e4m3 or f32
  std::int64_t block = 16;
  float global_scale = 1;

  // Throws Error naming what does not fit: types, shapes, or a block that does not divide K.
  void check() const;
  float at(std::int64_t n, std::int64_t k) const;
  std::int64_t bytes() const { return values.span_bytes() + scales.span_bytes(); }
};

// Memory for [N, K] in `arena`; the values are zero.
BlockScaled block_scaled(Arena& arena, std::int64_t N, std::int64_t K, DType values = DType::f4_e2m1,
                         DType scales = DType::f8_e4m3, std::int64_t block = 16);
// Stores rows [N, K] f32: the global scale maps the largest value onto the largest that value and scale types reach
// together, each block's scale its own largest. Throws Error for values that are not finite.
void quantize(const Tensor& rows, BlockScaled& out);

}  // namespace flashrt
