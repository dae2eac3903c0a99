// SPDX-License-Identifier: Apache-2.0
#include "flashrt/ops/mat_mul/mat_mul.h"

#include "flashrt/core/error.h"
#include "flashrt/core/packed_rhs.h"
#include "flashrt/core/recorder.h"
#include "flashrt/ops/checks.h"
#include "flashrt/ops/cpu_rows.h"
#include "flashrt/ops/quantize/quantize.h"

namespace flashrt {
namespace {

// |sum of x * (w + 128)| <= 128 * 255 * K must fit 32 bits.
constexpr std::int64_t kMaxDepthI8 = 65536;

// Scales go with 8-bit operands and with nothing else.
void check_operand_scale(const Tensor& scale, std::string_view what, const Tensor& operand, const Shape& shape) {
  if (operand.dtype == DType::i8)
    check_tensor(scale, what, {DType::f32}, shape);
  else
    require(!scale, "{} is set, but the operand is {}; scales go with i8", what, to_string(operand));
}

}  // namespace

void MatMul::check() const {
  check_matrix(x, "x", {DType::f32, DType::bf16, DType::i8});
  require(w && w.rank() == 2 && w.layout == Layout::packed_rhs, "w is {}; it must be a packed weight [N, K]",
          w ? to_string(w) : "not set");
  require(x.dtype == w.dtype && x.dim(1) == w.dim(1), "x is {} and w {}; they must agree in type and depth",
          to_string(x), to_string(w));
  const std::int64_t M = x.dim(0), K = x.dim(1), N = w.dim(0);
  require(N > 0, "w is {}; it must have a row", to_string(w));
  require(x.dtype != DType::i8 || K <= kMaxDepthI8, "an i8 product of depth {} can overflow; at most {}", K,
          kMaxDepthI8);
  require(!paired || N % kPanel == 0, "w is {}; a paired one must have a multiple of {} rows", to_string(w), kPanel);
  check_tensor(y, "y", {DType::f32, DType::bf16, DType::i8}, {M, paired ? N / 2 : N});
  check_scales(y, y_scale);
  check_operand_scale(x_scale, "x_scale", x, {M, 2});
  check_operand_scale(w_scale, "w_scale", w, {N});
  require(!paired || (!bias && !gate && !add), "a paired product takes no bias, gate or add");
  check_optional(bias, "bias", {DType::f32}, {N});
  check_optional(gate, "gate", {DType::f32}, {N});
  check_optional(add, "add", {DType::f32}, {M, N});
  // An i8 output is written when x is done with (see split), and may then take its place.
  require(y.dtype == DType::i8 || y.data != x.data, "y must not be x: every output needs a whole row of x");
}

void MatMul::access(Accesses& a) const {
  for (const Tensor* t : {&x, &w, &x_scale, &w_scale, &bias, &gate, &add}) a.reads(*t);
  a.writes(y);
  a.writes(y_scale);
}

Cost MatMul::cost() const {
  Cost c;
  c.flops = 2.0 * static_cast<double>(x.dim(0)) * static_cast<double>(x.dim(1)) * static_cast<double>(w.dim(0));
  for (const Tensor* t : {&x, &w, &y, &x_scale, &w_scale, &bias, &gate, &add, &y_scale}) c.bytes += traffic(*t);
  c.math = x.dtype;
  return c;
}

bool split(const MatMul& op, Recorder& r) {
  if (op.y.dtype != DType::i8) return false;
  // bf16 keeps the traffic small; its rounding is well below the step of the 8 bits that follow.
  MatMul product = op;
  product.y = r.temp(op.y.shape, DType::bf16);
  product.y_scale = {};
  r(product, "product");
  r(Quantize{.x = product.y, .y = op.y, .y_scale = op.y_scale}, "quantize");
  return true;
}

FLASHRT_CPU_ROWS(MatMul)

}  // namespace flashrt
