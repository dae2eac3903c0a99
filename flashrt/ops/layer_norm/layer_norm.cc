// SPDX-License-Identifier: Apache-2.0
#include "flashrt/ops/layer_norm/layer_norm.h"

#include "flashrt/ops/checks.h"
#include "flashrt/ops/cpu_rows.h"

namespace flashrt {

void LayerNorm::check() const {
  check_matrix(x, "x", {DType::f32, DType::bf16});
  check_tensor(y, "y", {DType::f32, DType::bf16, DType::i8}, x.shape);
  check_scales(y, y_scale);
  check_optional(gain, "gain", {DType::f32}, {x.dim(1)});
  check_optional(bias, "bias", {DType::f32}, {x.dim(1)});
  require(eps >= 0, "eps is {}; it must not be negative", eps);
}

void LayerNorm::access(Accesses& a) const {
  a.reads(x);
  a.reads(gain);
  a.reads(bias);
  a.writes(y);
  a.writes(y_scale);
}

Cost LayerNorm::cost() const {
  return {.flops = 8.0 * static_cast<double>(x.elements()),
          .bytes = traffic(x) + traffic(gain) + traffic(bias) + traffic(y) + traffic(y_scale)};
}

FLASHRT_CPU_ROWS(LayerNorm)

}  // namespace flashrt
