// SPDX-License-Identifier: Apache-2.0
// y = x / sqrt(mean(x^2) + eps) * gain + shift, row by row.
#pragma once

#include "flashrt/core/op.h"

namespace flashrt {

struct RmsNorm {
  static constexpr std::string_view name = "rms_norm";
  Tensor x;          // [T, D] f32 or bf16
  Tensor y;          // [T, D] f32, bf16, or i8 with y_scale
  Tensor gain{};     // [D] f32; unset: 1 (folded into the next weight). Adaptive: 1 + scale of this step
  Tensor shift{};    // [D] f32; adaptive norms only
  Tensor add{};      // [T, D] f32 or bf16: x + add is normalised ...
  Tensor sum{};      // [T, D] f32 or bf16: ... and stored here when set (may be x itself)
  Tensor y_scale{};  // [T, 2] f32, when y is i8: see Quantize
  float eps = 1e-6f;

  void check() const;
  void access(Accesses&) const;
  Cost cost() const;
};
void reference(const RmsNorm&);

}  // namespace flashrt
