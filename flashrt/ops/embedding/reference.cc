// SPDX-License-Identifier: Apache-2.0
// Embedding in plain loops.
#include <algorithm>

#include "flashrt/ops/embedding/embedding.h"

namespace flashrt {

void reference(const Embedding& op) {
  const std::int64_t V = op.table.dim(0), D = op.table.dim(1), T = op.ids.dim(0);
  for (std::int64_t t = 0; t < T; ++t) {
    const bool exists = !op.valid || t < *op.valid;
    const std::int64_t id = std::clamp<std::int64_t>(op.ids.as<std::int32_t>()[t], 0, V - 1);
    for (std::int64_t d = 0; d < D; ++d)
      store_from_float(op.y.row<std::byte>(t), op.y.dtype, d,
                       exists ? load_as_float(op.table.row<std::byte>(id), op.table.dtype, d) * op.scale : 0.0f);
  }
}

}  // namespace flashrt
