// SPDX-License-Identifier: Apache-2.0
#include "flashrt/ops/unnormalize/unnormalize.h"

#include "flashrt/ops/checks.h"
#include "flashrt/ops/cpu_rows.h"

namespace flashrt {

void Unnormalize::check() const {
  check_matrix(x, "x", {DType::f32});
  check_matrix(y, "y", {DType::f32});
  require(y.dim(0) == x.dim(0) && y.dim(1) <= x.dim(1),
          "y is {} and x is {}; y must have the rows of x and no more columns", to_string(y), to_string(x));
  const Shape columns{y.dim(1)};
  check_tensor(scale, "scale", {DType::f32}, columns);
  check_tensor(offset, "offset", {DType::f32}, columns);
  check_optional(state, "state", {DType::f32}, columns);
  check_optional(mask, "mask", {DType::f32}, columns);
  require(!mask || state, "mask is set without state; it says where the state is added");
}

void Unnormalize::access(Accesses& a) const {
  a.reads(x);
  a.reads(scale);
  a.reads(offset);
  a.reads(state);
  a.reads(mask);
  a.writes(y);
}

Cost Unnormalize::cost() const {
  return {.flops = 2.0 * static_cast<double>(y.elements()),
          .bytes = 2 * traffic(y) + traffic(scale) + traffic(offset) + traffic(state) + traffic(mask)};
}

FLASHRT_CPU_ROWS(Unnormalize)

}  // namespace flashrt
