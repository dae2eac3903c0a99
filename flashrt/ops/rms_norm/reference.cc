// SPDX-License-Identifier: Apache-2.0
// RmsNorm in plain loops, with double accumulation.
#include <cmath>
#include <vector>

#include "flashrt/ops/quantize/quantize.h"
#include "flashrt/ops/rms_norm/rms_norm.h"

namespace flashrt {

void reference(const RmsNorm& op) {
  const std::int64_t T = op.x.dim(0), D = op.x.dim(1);
  std::vector<float> row(static_cast<std::size_t>(D));
  for (std::int64_t t = 0; t < T; ++t) {
    double squares = 0;
    for (std::int64_t d = 0; d < D; ++d) {
      float v = load_as_float(op.x.row<std::byte>(t), op.x.dtype, d);
      if (op.add) v += load_as_float(op.add.row<std::byte>(t), op.add.dtype, d);
      row[static_cast<std::size_t>(d)] = v;
      squares += static_cast<double>(v) * v;
    }
    const double inverse = 1 / std::sqrt(squares / static_cast<double>(D) + op.eps);
    for (std::int64_t d = 0; d < D; ++d) {
      float& v = row[static_cast<std::size_t>(d)];
      if (op.sum) store_from_float(op.sum.row<std::byte>(t), op.sum.dtype, d, v);
      double n = v * inverse;
      if (op.gain) n *= op.gain.as<float>()[d];
      if (op.shift) n += op.shift.as<float>()[d];
      v = static_cast<float>(n);
      if (op.y.dtype != DType::i8) store_from_float(op.y.row<std::byte>(t), op.y.dtype, d, v);
    }
    if (op.y.dtype == DType::i8)
      reference(Quantize{
          .x = Tensor(row.data(), {1, D}, DType::f32), .y = op.y.rows(t, 1), .y_scale = op.y_scale.rows(t, 1)});
  }
}

}  // namespace flashrt
