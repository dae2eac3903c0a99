// SPDX-License-Identifier: Apache-2.0
// LayerNorm: each worker takes a contiguous share of the rows. A row comes from memory once, for its mean; the variance
// is summed from L1 about that mean, because E[x^2] - mean^2 loses the digits of rows far from zero. The bound is
// memory traffic.
#include "flashrt/ops/layer_norm/layer_norm.h"
#include "flashrt/ops/quantize/quantize_row.h"

namespace flashrt::FLASHRT_ISA {
namespace {

bool supports(const LayerNorm&, const DeviceInfo& device) { return device.features & FLASHRT_ISA_FEATURE; }

// An i8 output passes through an f32 row.
std::size_t scratch(const LayerNorm& op, const DeviceInfo&) {
  return op.y.dtype == DType::i8 ? static_cast<std::size_t>(op.x.dim(1)) * sizeof(float) : 0;
}

// Normalizes into y; returns max |y|, which only an i8 output wants.
template <class X, class Y>
FLASHRT_SIMD float normalize(const LayerNorm& op, const X* x, Y* y) {
  const std::int64_t D = op.x.dim(1);
  const float count = static_cast<float>(D);
  const float mean =
      sum_vectors(
          D, [&](std::int64_t i, auto lanes) __attribute__((always_inline)) { return load(x + i, lanes); }) /
      count;
  const Vf center = splat(mean);
  const float squares = sum_vectors(
      D, [&](std::int64_t i, auto lanes) __attribute__((always_inline)) {
        Vf v = load(x + i, lanes) - center;
        return keep_lanes(v * v, lanes);
      });
  const Vf inverse = splat(1.0f / __builtin_sqrtf(squares / count + op.eps));
  const float *gain = op.gain.as<float>(), *bias = op.bias.as<float>();
  return largest_magnitude(
      D, [&](std::int64_t i, auto lanes) __attribute__((always_inline)) {
        Vf v = (load(x + i, lanes) - center) * inverse;
        if (gain) v *= load(gain + i, lanes);
        if (bias) v += load(bias + i, lanes);
        store(y + i, v, lanes);
        return keep_lanes(v, lanes);
      });
}

template <class X>
void finish(const LayerNorm& op, std::int64_t t, const X* x, float* normal) {
  if (op.y.dtype == DType::i8) {
    const float largest = normalize(op, x, normal);
    quantize_row(normal, op.x.dim(1), largest, op.y.row<std::int8_t>(t), op.y_scale.row<float>(t));
  } else {
    with_row(op.y, t, [&](auto* y) { normalize(op, x, y); });
  }
}

void run(const LayerNorm& op, const Exec& exec) noexcept {
  auto* row = reinterpret_cast<float*>(exec.scratch);
  const auto [first, last] = exec.share(op.x.dim(0));
  for (std::int64_t t = first; t < last; ++t) with_row(op.x, t, [&](const auto* x) { finish(op, t, x, row); });
}

}  // namespace

std::span<const Kernel<LayerNorm>> rows(const LayerNorm*) {
  static constexpr Kernel<LayerNorm> kRows[] = {{FLASHRT_ISA_NAME, supports, scratch, run}};
  return kRows;
}

}  // namespace flashrt::FLASHRT_ISA
