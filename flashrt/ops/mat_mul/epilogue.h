// SPDX-License-Identifier: Apache-2.0
// What happens to the sums of a matmul between the last k and memory, 32 columns of a row at a time.
#pragma once

#include "flashrt/core/packed_rhs.h"
#include "flashrt/ops/mat_mul/mat_mul.h"
#include "flashrt/ops/simd.h"

namespace flashrt::FLASHRT_ISA {

// The vectors [N] of a MatMul cut to one panel, and zero beyond N.
struct PanelVectors {
  alignas(64) float w_scale[kPanel];
  alignas(64) float bias[kPanel];
  alignas(64) float gate[kPanel];
  std::int64_t first = 0, columns = 0;  // columns of the product in this panel
};

namespace epilogue {

FLASHRT_SIMD void cut(const Tensor& t, const PanelVectors& p, float* out) {
  if (!t) return;
  const float* from = t.as<const float>() + p.first;
  for (std::int64_t n = 0; n < kPanel; ++n) out[n] = n < p.columns ? from[n] : 0.0f;
}

template <Activation A>
FLASHRT_SIMD Vf activate(Vf v) {
  if constexpr (A == Activation::gelu_tanh) return gelu_tanh(v);
  if constexpr (A == Activation::silu) return silu(v);
  return v;
}

// Sums of a row as floats: scaled, and for i8 without the bias of the packed weights.
struct RowScale {
  float scale = 1;
  std::int32_t offset = 0;
};
FLASHRT_SIMD Vf scaled(const float* sums, const float*, const RowScale&) { return load(sums); }
FLASHRT_SIMD Vf scaled(const std::int32_t* sums, const float* w_scale, const RowScale& row) {
  return to_float(load(sums) - splat(row.offset)) * (load(w_scale) * splat(row.scale));
}
FLASHRT_SIMD RowScale row_scale(const MatMul& op, std::int64_t m, const std::int32_t*) {
  const float* s = op.x_scale.row<const float>(m);
  return {s[0], static_cast<std::int32_t>(s[1]) * kPackedBias};
}
FLASHRT_SIMD RowScale row_scale(const MatMul&, std::int64_t, const float*) { return {}; }

template <class T>
FLASHRT_SIMD void put(T* p, Vf v, std::int64_t columns) {
  if (columns >= kLanes)
    store(p, v);
  else if (columns > 0)
    store_first(p, v, columns);
}

template <Activation A, class Sum, class Y>
void rows(const MatMul& op, const PanelVectors& p, std::int64_t first, std::int64_t count, const Sum* sums) noexcept {
  const bool bias(op.bias), gate(op.gate), add(op.add);
  for (std::int64_t r = 0; r < count; ++r, sums += kPanel) {
    const std::int64_t m = first + r;
    const RowScale row = row_scale(op, m, sums);
    Y* y = op.y.row<Y>(m);
    if (op.paired) {
      Vf branch = activate<A>(scaled(sums, p.w_scale, row));
      store(y + p.first / 2, branch * scaled(sums + kLanes, p.w_scale + kLanes, row));
      continue;
    }
    for (std::int64_t n = 0; n < p.columns; n += kLanes) {
      const std::int64_t width = p.columns - n;
      Vf v = scaled(sums + n, p.w_scale + n, row);
      if (bias) v += load(p.bias + n);
      v = activate<A>(v);
      if (gate) v *= load(p.gate + n);
      if (add) {
        const float* a = op.add.row<const float>(m) + p.first + n;
        v += width >= kLanes ? load(a) : load_first(a, width);
      }
      put(y + p.first + n, v, width);
    }
  }
}

template <class Sum, class Y>
void rows_of(const MatMul& op, const PanelVectors& p, std::int64_t first, std::int64_t count,
             const Sum* sums) noexcept {
  switch (op.act) {
    case Activation::none: return rows<Activation::none, Sum, Y>(op, p, first, count, sums);
    case Activation::gelu_tanh: return rows<Activation::gelu_tanh, Sum, Y>(op, p, first, count, sums);
    case Activation::silu: return rows<Activation::silu, Sum, Y>(op, p, first, count, sums);
  }
}

}  // namespace epilogue

FLASHRT_SIMD PanelVectors panel_vectors(const MatMul& op, std::int64_t panel) {
  PanelVectors p;
  p.first = panel * kPanel;
  p.columns = op.w.dim(0) - p.first < kPanel ? op.w.dim(0) - p.first : kPanel;
  epilogue::cut(op.w_scale, p, p.w_scale);
  epilogue::cut(op.bias, p, p.bias);
  epilogue::cut(op.gate, p, p.gate);
  return p;
}

// Finishes rows [first, first + count) of one panel; `sums` is Sum[count][32].
template <class Sum>
void finish(const MatMul& op, const PanelVectors& p, std::int64_t first, std::int64_t count, const Sum* sums) noexcept {
  if (op.y.dtype == DType::bf16)
    epilogue::rows_of<Sum, Bf16>(op, p, first, count, sums);
  else
    epilogue::rows_of<Sum, float>(op, p, first, count, sums);
}

}  // namespace flashrt::FLASHRT_ISA
