// SPDX-License-Identifier: Apache-2.0
// y = act(x w^T * scales + bias) * gate + add, for a weight packed once at load.
#pragma once

#include "flashrt/core/op.h"

namespace flashrt {

enum class Activation : std::uint8_t { none, gelu_tanh, silu };

struct MatMul {
  static constexpr std::string_view name = "mat_mul";
  Tensor x;          // [M, K] f32, bf16 or i8, the dtype of w
  Tensor w;          // [N, K] packed_rhs, f32, bf16 or i8
  Tensor y;          // [M, N] (or [M, N/2] when paired) f32, bf16, or i8 with y_scale
  Tensor x_scale{};  // [M, 2] f32, when x is i8: scale, and the sum of the row's integers
  Tensor w_scale{};  // [N] f32, when w is i8: one a column of the product
  Tensor bias{};     // [N] f32
  Tensor gate{};     // [N] f32, multiplies the activated product
  Tensor add{};      // [M, N] f32, the residual; may be y itself
  Tensor y_scale{};  // [M, 2] f32, when y is i8: see Quantize
  Activation act = Activation::none;
  // Columns 32 p + j of w (j < 16) are the gate branch and 32 p + 16 + j the up branch of output column 16 p + j:
  // y = act(gate) * up. bias, gate and add are not allowed then.
  bool paired = false;

  void check() const;
  void access(Accesses&) const;
  Cost cost() const;
};
// Groups of K (packed_rhs.h) that the CPU rows multiply at once: 256 KiB of a panel. A deeper product is summed in
// parts.
inline constexpr std::int64_t kMatMulBlockGroups = 2048;

void reference(const MatMul&);
// An i8 output as an f32 product followed by Quantize: the row's largest value is known only when the row is done.
bool split(const MatMul&, Recorder&);

}  // namespace flashrt
