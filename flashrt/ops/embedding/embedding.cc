// SPDX-License-Identifier: Apache-2.0
#include "flashrt/ops/embedding/embedding.h"

#include <cmath>

#include "flashrt/ops/checks.h"
#include "flashrt/ops/cpu_rows.h"

namespace flashrt {

void Embedding::check() const {
  require(ids && ids.rank() == 1 && ids.dtype == DType::i32 && ids.elements() > 0,
          "ids is {}; it must be i32 of at least one token", to_string(ids));
  check_matrix(table, "table", {DType::f32, DType::f16, DType::bf16});
  check_tensor(y, "y", {DType::f32, DType::bf16}, {ids.dim(0), table.dim(1)});
  require(std::isfinite(scale), "scale is {}; it must be finite", scale);
}

void Embedding::access(Accesses& a) const {
  a.reads(ids);
  a.reads(table);
  a.writes(y);
}

Cost Embedding::cost() const {
  const double rows_read = static_cast<double>(bytes_for(table.dtype, y.elements()));
  return {.flops = static_cast<double>(y.elements()), .bytes = traffic(ids) + rows_read + traffic(y)};
}

FLASHRT_CPU_ROWS(Embedding)

}  // namespace flashrt
