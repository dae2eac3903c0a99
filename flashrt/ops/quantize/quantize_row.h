// SPDX-License-Identifier: Apache-2.0
// One row of Quantize, shared by the ops that can write i8 themselves.
#pragma once

#include "flashrt/ops/quantize/quantize.h"
#include "flashrt/ops/row_loops.h"

namespace flashrt::FLASHRT_ISA {

// max |x| of a row.
template <class T>
FLASHRT_SIMD float largest_of_row(const T* x, std::int64_t D) {
  return largest_magnitude(
      D, [&](std::int64_t i, auto lanes) __attribute__((always_inline)) { return load(x + i, lanes); });
}

// Writes the integers of a row whose largest magnitude is known, its scale and its sum.
template <class T>
FLASHRT_SIMD void quantize_row(const T* x, std::int64_t D, float largest, std::int8_t* y, float* y_scale) {
  if (!Quantize::finite(largest)) {
    for (std::int64_t i = 0; i < D; ++i) y[i] = 0;
    y_scale[0] = Quantize::kNotFinite;
    y_scale[1] = 0;
    return;
  }
  if (largest < Quantize::kSmallest) largest = 0;
  const Vf inverse = splat(largest > 0 ? 127.0f / largest : 0.0f);
  Vi total = splat(0);
  for_vectors(
      D, [&](std::int64_t i, auto lanes) __attribute__((always_inline)) {
        Vi q = round_to_int(load(x + i, lanes) * inverse);
        total += q;
        store_i8(y + i, q, lanes);
      });
  y_scale[0] = largest / 127.0f;
  y_scale[1] = static_cast<float>(sum(total));
}

}  // namespace flashrt::FLASHRT_ISA
