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

// What turns the sums of row `first` + r into floats: nothing for float sums; for i8 the scale of x, and the offset
// that the bias of the packed weights has added.
struct NoScale {};
struct RowScale {
  float scale;
  std::int32_t offset;
};
template <class Sum>
struct RowScales {
  RowScales(const MatMul&, std::int64_t) {}
  FLASHRT_SIMD NoScale operator[](std::int64_t) const { return {}; }
};
template <>
struct RowScales<std::int32_t> {
  RowScales(const MatMul& op, std::int64_t first)
      : data(op.x_scale.as<const float>() + first * op.x_scale.stride[0]), pitch(op.x_scale.stride[0]) {}
  FLASHRT_SIMD RowScale operator[](std::int64_t r) const {
    const float* s = data + r * pitch;
    return {s[0], static_cast<std::int32_t>(s[1]) * kPackedBias};
  }
  const float* data;
  std::int64_t pitch;
};
FLASHRT_SIMD Vf scaled(const float* sums, const float*, NoScale) { return load(sums); }
FLASHRT_SIMD Vf scaled(const std::int32_t* sums, const float* w_scale, RowScale row) {
  return to_float(load(sums) - splat(row.offset)) * (load(w_scale) * splat(row.scale));
}

template <Activation A, class Sum, class Y>
void rows(const MatMul& op, const PanelVectors& p, std::int64_t first, std::int64_t count, const Sum* sums) noexcept {
  const bool bias(op.bias), gate(op.gate), paired = op.paired;
  const std::int64_t columns = p.columns, y_pitch = op.y.stride[0], add_pitch = op.add ? op.add.stride[0] : 0;
  Y* y = op.y.as<Y>() + first * y_pitch + (paired ? p.first / 2 : p.first);
  const float* add = op.add ? op.add.as<const float>() + first * add_pitch + p.first : nullptr;
  const RowScales<Sum> scales(op, first);
  for (std::int64_t r = 0; r < count; ++r, sums += kPanel, y += y_pitch, add += add_pitch) {
    const auto row = scales[r];
    if (paired) {
      Vf branch = activate<A>(scaled(sums, p.w_scale, row));
      store(y, branch * scaled(sums + kLanes, p.w_scale + kLanes, row));
      continue;
    }
    for (std::int64_t n = 0; n < columns; n += kLanes) {
      const std::int64_t width = columns - n;
      Vf v = scaled(sums + n, p.w_scale + n, row);
      if (bias) v += load(p.bias + n);
      v = activate<A>(v);
      if (gate) v *= load(p.gate + n);
      if (add) v += width >= kLanes ? load(add + n) : load_first(add + n, width);
      if (width >= kLanes)
        store(y + n, v);
      else
        store_first(y + n, v, width);
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
