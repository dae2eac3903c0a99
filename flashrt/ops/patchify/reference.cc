// SPDX-License-Identifier: Apache-2.0
// Patchify in plain loops.
#include <vector>

#include "flashrt/ops/patchify/patchify.h"
#include "flashrt/ops/quantize/quantize.h"

namespace flashrt {

void reference(const Patchify& op) {
  const std::int64_t p = op.patch, C = op.channels, across = op.image.dim(1) / (p * C);
  for (std::int64_t t = 0; t < op.y.dim(0); ++t) {
    std::vector<float> row;
    for (std::int64_t dy = 0; dy < p; ++dy)
      for (std::int64_t dx = 0; dx < p; ++dx)
        for (std::int64_t c = 0; c < C; ++c)
          row.push_back(op.image.row<float>(t / across * p + dy)[(t % across * p + dx) * C + c]);
    const auto n = static_cast<std::int64_t>(row.size());
    if (op.y.dtype == DType::i8)
      reference(Quantize{
          .x = Tensor(row.data(), {1, n}, DType::f32), .y = op.y.rows(t, 1), .y_scale = op.y_scale.rows(t, 1)});
    else
      for (std::int64_t i = 0; i < n; ++i)
        store_from_float(op.y.row<std::byte>(t), op.y.dtype, i, row[static_cast<std::size_t>(i)]);
  }
}

}  // namespace flashrt
