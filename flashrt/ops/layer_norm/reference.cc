// SPDX-License-Identifier: Apache-2.0
// LayerNorm in plain loops, with double accumulation.
#include <cmath>
#include <vector>

#include "flashrt/ops/layer_norm/layer_norm.h"
#include "flashrt/ops/quantize/quantize.h"

namespace flashrt {

void reference(const LayerNorm& op) {
  const std::int64_t T = op.x.dim(0), D = op.x.dim(1);
  std::vector<float> row(static_cast<std::size_t>(D));
  for (std::int64_t t = 0; t < T; ++t) {
    double mean = 0, variance = 0;
    for (std::int64_t d = 0; d < D; ++d) {
      row[static_cast<std::size_t>(d)] = load_as_float(op.x.row<std::byte>(t), op.x.dtype, d);
      mean += row[static_cast<std::size_t>(d)];
    }
    mean /= static_cast<double>(D);
    for (float v : row) variance += (v - mean) * (v - mean);
    const double inverse = 1 / std::sqrt(variance / static_cast<double>(D) + op.eps);
    for (std::int64_t d = 0; d < D; ++d) {
      float& v = row[static_cast<std::size_t>(d)];
      double n = (v - mean) * inverse;
      if (op.gain) n *= op.gain.as<float>()[d];
      if (op.bias) n += op.bias.as<float>()[d];
      v = static_cast<float>(n);
      if (op.y.dtype != DType::i8) store_from_float(op.y.row<std::byte>(t), op.y.dtype, d, v);
    }
    if (op.y.dtype == DType::i8)
      reference(Quantize{
          .x = Tensor(row.data(), {1, D}, DType::f32), .y = op.y.rows(t, 1), .y_scale = op.y_scale.rows(t, 1)});
  }
}

}  // namespace flashrt
