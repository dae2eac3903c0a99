// SPDX-License-Identifier: Apache-2.0
// Rows to signed 8-bit integers, one scale a row: y = round(x / scale), scale = max|x| / 127.
//
// A row with a NaN or an infinity has scale NaN and integers 0: whatever is made of it is NaN, as it would be in
// floats. Computed as the f32 product x * (127 / max|x|), rounded to nearest, ties to even: every row gives the same
// integers.
#pragma once

#include <limits>

#include "flashrt/core/op.h"

namespace flashrt {

struct Quantize {
  static constexpr std::string_view name = "quantize";
  Tensor x;        // [T, D] f32 or bf16
  Tensor y;        // [T, D] i8
  Tensor y_scale;  // [T, 2] f32: the scale, and the sum of the row's integers (exact in f32 for D <= 2^17)

  static constexpr float kSmallest = 1e-34f;  // a row of smaller magnitude counts as zeros: 127 / max|x| must be finite
  static constexpr float kNotFinite = std::numeric_limits<float>::quiet_NaN();
  static constexpr bool finite(float largest) { return largest <= std::numeric_limits<float>::max(); }  // of max|x|

  void check() const;
  void access(Accesses&) const;
  Cost cost() const;
};
void reference(const Quantize&);

}  // namespace flashrt
