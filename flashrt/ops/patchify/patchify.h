// SPDX-License-Identifier: Apache-2.0
// Cuts images into square patches, one row a patch: the im2col of a convolution whose stride is its kernel.
#pragma once

#include "flashrt/core/op.h"

namespace flashrt {

struct Patchify {
  static constexpr std::string_view name = "patchify";
  // [H, W * C] f32, channels innermost. Views stacked on top of each other are one tall image.
  Tensor image;
  // [H/p * W/p, p * p * C] f32, bf16, or i8 with y_scale. Patches run left to right, then down; inside a patch the
  // order is (dy, dx, channel).
  Tensor y;
  Tensor y_scale{};           // [H/p * W/p, 2] f32, when y is i8: see Quantize
  std::int64_t patch = 0;     // p
  std::int64_t channels = 3;  // C

  void check() const;
  void access(Accesses&) const;
  Cost cost() const;
};
void reference(const Patchify&);

}  // namespace flashrt
