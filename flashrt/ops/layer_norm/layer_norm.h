// SPDX-License-Identifier: Apache-2.0
// y = (x - mean(x)) / sqrt(var(x) + eps) * gain + bias, row by row, statistics in fp32.
#pragma once

#include "flashrt/core/op.h"

namespace flashrt {

struct LayerNorm {
  static constexpr std::string_view name = "layer_norm";
  Tensor x;          // [T, D] f32 or bf16
  Tensor y;          // [T, D] f32, bf16, or i8 with y_scale
  Tensor gain{};     // [D] f32; unset: 1
  Tensor bias{};     // [D] f32; unset: 0
  Tensor y_scale{};  // [T, 2] f32, when y is i8: see Quantize
  float eps = 1e-6f;

  void check() const;
  void access(Accesses&) const;
  Cost cost() const;
};
void reference(const LayerNorm&);

}  // namespace flashrt
