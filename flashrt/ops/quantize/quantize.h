// SPDX-License-Identifier: Apache-2.0
// Rows to signed 8-bit integers, one scale a row: y = round(x / scale), scale = max|x| / 127.
//
// Computed as the f32 product x * (127 / max|x|), rounded to nearest, ties to even: every row gives the same integers.
#pragma once

#include "flashrt/core/op.h"

namespace flashrt {

struct Quantize {
  static constexpr std::string_view name = "quantize";
  Tensor x;        // [T, D] f32 or bf16
  Tensor y;        // [T, D] i8
  Tensor y_scale;  // [T, 2] f32: the scale, and the sum of the row's integers (exact in f32 for D <= 2^17)

  static constexpr float kSmallest = 1e-34f;  // a row of smaller magnitude counts as zeros: 127 / max|x| must be finite

  void check() const;
  void access(Accesses&) const;
  Cost cost() const;
};
void reference(const Quantize&);

}  // namespace flashrt
