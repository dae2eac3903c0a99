// SPDX-License-Identifier: Apache-2.0
#include "flashrt/ops/quantize/quantize.h"

#include "flashrt/ops/checks.h"
#include "flashrt/ops/cpu_rows.h"

namespace flashrt {

void Quantize::check() const {
  check_matrix(x, "x", {DType::f32, DType::bf16});
  check_tensor(y, "y", {DType::i8}, x.shape);
  check_scales(y, y_scale);
  require(x.dim(1) <= 1 << 17, "x is {}; the sum of a row is exact for at most {} columns", to_string(x), 1 << 17);
}

void Quantize::access(Accesses& a) const {
  a.reads(x);
  a.writes(y);
  a.writes(y_scale);
}

Cost Quantize::cost() const {
  return {.flops = 3.0 * static_cast<double>(x.elements()), .bytes = traffic(x) + traffic(y) + traffic(y_scale)};
}

FLASHRT_CPU_ROWS(Quantize)

}  // namespace flashrt
