// SPDX-License-Identifier: Apache-2.0
// RmsNorm: each worker takes a contiguous share of the rows. A row comes from memory once, for its sum of squares, and
// from L1 when it is scaled; the bound is memory traffic. A sum x + add and an i8 output pass through an f32 row of
// scratch.
#include "flashrt/ops/quantize/quantize_row.h"
#include "flashrt/ops/rms_norm/rms_norm.h"

namespace flashrt::FLASHRT_ISA {
namespace {

bool supports(const RmsNorm&, const DeviceInfo& device) { return device.features & FLASHRT_ISA_FEATURE; }

std::size_t scratch(const RmsNorm& op, const DeviceInfo&) {
  return op.add || op.y.dtype == DType::i8 ? static_cast<std::size_t>(op.x.dim(1)) * sizeof(float) : 0;
}

// total = x + add, and stored in `sum` when set.
void add_row(const RmsNorm& op, std::int64_t t, float* total) {
  const std::int64_t D = op.x.dim(1);
  with_row(op.x, t, [&](const auto* x) {
    with_row(op.add, t, [&](const auto* add) {
      for_vectors(
          D, [&](std::int64_t i, auto lanes) { store(total + i, load(x + i, lanes) + load(add + i, lanes), lanes); });
    });
  });
  if (op.sum)
    with_row(op.sum, t, [&](auto* sum) {
      for_vectors(D, [&](std::int64_t i, auto lanes) { store(sum + i, load(total + i, lanes), lanes); });
    });
}

// Normalizes into y; returns max |y|, which only an i8 output wants.
template <class X, class Y>
FLASHRT_SIMD float normalize(const RmsNorm& op, const X* x, Y* y) {
  const std::int64_t D = op.x.dim(1);
  const float squares = sum_vectors(
      D, [&](std::int64_t i, auto lanes) __attribute__((always_inline)) {
        Vf v = load(x + i, lanes);
        return v * v;
      });
  const Vf inverse = splat(1.0f / __builtin_sqrtf(squares / static_cast<float>(D) + op.eps));
  const float *gain = op.gain.as<float>(), *shift = op.shift.as<float>();
  return largest_magnitude(
      D, [&](std::int64_t i, auto lanes) __attribute__((always_inline)) {
        Vf v = load(x + i, lanes) * inverse;
        if (gain) v *= load(gain + i, lanes);
        if (shift) v += load(shift + i, lanes);
        store(y + i, v, lanes);
        return v;
      });
}

template <class X>
void finish(const RmsNorm& op, std::int64_t t, const X* x, float* normal) {
  if (op.y.dtype == DType::i8) {
    const float largest = normalize(op, x, normal);
    quantize_row(normal, op.x.dim(1), largest, op.y.row<std::int8_t>(t), op.y_scale.row<float>(t));
  } else {
    with_row(op.y, t, [&](auto* y) { normalize(op, x, y); });
  }
}

void run(const RmsNorm& op, const Exec& exec) noexcept {
  auto* row = reinterpret_cast<float*>(exec.scratch);
  const auto [first, last] = exec.share(op.x.dim(0));
  for (std::int64_t t = first; t < last; ++t) {
    if (op.add) {
      add_row(op, t, row);
      finish(op, t, row, row);
    } else {
      with_row(op.x, t, [&](const auto* x) { finish(op, t, x, row); });
    }
  }
}

}  // namespace

std::span<const Kernel<RmsNorm>> rows(const RmsNorm*) {
  static constexpr Kernel<RmsNorm> kRows[] = {{FLASHRT_ISA_NAME, supports, scratch, run}};
  return kRows;
}

}  // namespace flashrt::FLASHRT_ISA
