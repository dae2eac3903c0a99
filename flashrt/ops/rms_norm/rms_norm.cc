// SPDX-License-Identifier: Apache-2.0
#include "flashrt/ops/rms_norm/rms_norm.h"

#include "flashrt/ops/checks.h"
#include "flashrt/ops/cpu_rows.h"

namespace flashrt {

void RmsNorm::check() const {
  check_matrix(x, "x", {DType::f32, DType::bf16});
  check_tensor(y, "y", {DType::f32, DType::bf16, DType::i8}, x.shape);
  check_scales(y, y_scale);
  check_optional(gain, "gain", {DType::f32}, {x.dim(1)});
  check_optional(shift, "shift", {DType::f32}, {x.dim(1)});
  check_optional(add, "add", {DType::f32, DType::bf16}, x.shape);
  check_optional(sum, "sum", {DType::f32, DType::bf16}, x.shape);
  require(!sum || add, "sum is set without add; it stores x + add");
  require(eps >= 0, "eps is {}; it must not be negative", eps);
}

void RmsNorm::access(Accesses& a) const {
  a.reads(x);
  a.reads(gain);
  a.reads(shift);
  a.reads(add);
  a.writes(y);
  a.writes(sum);
  a.writes(y_scale);
}

Cost RmsNorm::cost() const {
  return {.flops = 4.0 * static_cast<double>(x.elements()),
          .bytes = traffic(x) + traffic(gain) + traffic(shift) + traffic(add) + traffic(y) + traffic(sum) +
                   traffic(y_scale)};
}

FLASHRT_CPU_ROWS(RmsNorm)

}  // namespace flashrt
