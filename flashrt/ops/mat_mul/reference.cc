// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <vector>

#include "flashrt/core/packed_rhs.h"
#include "flashrt/ops/mat_mul/mat_mul.h"
#include "flashrt/ops/quantize/quantize.h"

namespace flashrt {
namespace {

double activate(double x, Activation act) {
  switch (act) {
    case Activation::none: return x;
    case Activation::gelu_tanh: return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    case Activation::silu: return x / (1 + std::exp(-x));
  }
  return x;
}

std::vector<double> row_of_product(const MatMul& op, std::int64_t m) {
  const std::int64_t N = op.w.dim(0), K = op.w.dim(1);
  std::vector<double> x(static_cast<std::size_t>(K)), v(static_cast<std::size_t>(N));
  for (std::int64_t k = 0; k < K; ++k)
    x[static_cast<std::size_t>(k)] = load_as_float(op.x.row<const std::byte>(m), op.x.dtype, k);
  for (std::int64_t n = 0; n < N; ++n) {
    double s = 0;
    for (std::int64_t k = 0; k < K; ++k) s += x[static_cast<std::size_t>(k)] * packed_value(op.w, 0, n, k);
    if (op.x_scale) s *= op.x_scale.row<const float>(m)[0];
    if (op.w_scale) s *= op.w_scale.as<const float>()[n];
    v[static_cast<std::size_t>(n)] = s;
  }
  return v;
}

}  // namespace

void reference(const MatMul& op) {
  const std::int64_t M = op.x.dim(0), N = op.y.dim(1);
  std::vector<float> rows(static_cast<std::size_t>(M * N));
  for (std::int64_t m = 0; m < M; ++m) {
    std::vector<double> v = row_of_product(op, m);
    float* out = rows.data() + m * N;
    for (std::int64_t n = 0; n < N; ++n) {
      auto i = static_cast<std::size_t>(n);
      if (op.paired) {
        std::size_t gate = (i / 16) * 32 + i % 16;
        out[n] = static_cast<float>(activate(v[gate], op.act) * v[gate + 16]);
        continue;
      }
      double s = v[i];
      if (op.bias) s += op.bias.as<const float>()[n];
      s = activate(s, op.act);
      if (op.gate) s *= op.gate.as<const float>()[n];
      if (op.add) s += op.add.row<const float>(m)[n];
      out[n] = static_cast<float>(s);
    }
  }
  if (op.y.dtype == DType::i8)
    return reference(Quantize{.x = Tensor(rows.data(), {M, N}, DType::f32), .y = op.y, .y_scale = op.y_scale});
  for (std::int64_t m = 0; m < M; ++m)
    for (std::int64_t n = 0; n < N; ++n)
      store_from_float(op.y.row<std::byte>(m), op.y.dtype, n, rows[static_cast<std::size_t>(m * N + n)]);
}

}  // namespace flashrt
