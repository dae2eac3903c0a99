// SPDX-License-Identifier: Apache-2.0
// What happens to the sums of a matmul between the last k and memory, 32 columns of a row at a time.
#pragma once

#include "flashrt/core/packed_rhs.h"
#include "flashrt/ops/mat_mul/mat_mul.h"
#include "flashrt/ops/simd.h"

namespace flashrt::FLASHRT_ISA {

// The vectors [N] of a MatMul cut to one panel; where they are not set or beyond N, what changes nothing.
struct PanelVectors {
  alignas(64) float w_scale[kPanel];
  alignas(64) float bias[kPanel];
  alignas(64) float gate[kPanel];
  std::int64_t first = 0, columns = 0;  // columns of the product in this panel
  std::int64_t y_column = 0;            // the first of y
};

namespace epilogue {

alignas(64) inline constexpr float kZeros[kPanel] = {};

FLASHRT_SIMD void cut(const Tensor& t, const PanelVectors& p, float neutral, float* out) {
  for (std::int64_t n = 0; n < kPanel; n += kLanes) {
    const std::int64_t left = p.columns - n;
    const float* from = t.as<const float>() + p.first + n;
    store(out + n, !t || left <= 0 ? splat(neutral) : left >= kLanes ? load(from) : load_first(from, left));
  }
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
FLASHRT_SIMD Vf scaled(const float* sums, Vf, NoScale) { return load(sums); }
FLASHRT_SIMD Vf scaled(const std::int32_t* sums, Vf w_scale, RowScale row) {
  return to_float(load(sums) - splat(row.offset)) * (w_scale * splat(row.scale));
}

// full: 32 columns; part: fewer; paired: 16 of 32.
enum class Form : std::uint8_t { full, part, paired };

template <Form F, Activation A, class Sum, class Y>
void rows(const MatMul& op, const PanelVectors& p, std::int64_t first, std::int64_t count, const Sum* sums) noexcept {
  const std::int64_t y_pitch = op.y.stride[0], add_pitch = op.add ? op.add.stride[0] : 0;
  const std::int64_t right = p.columns - kLanes;
  Y* y = op.y.as<Y>() + first * y_pitch + p.y_column;
  const float* add = op.add ? op.add.as<const float>() + first * add_pitch + p.first : kZeros;
  const RowScales<Sum> scales(op, first);
  const Vf w0 = load(p.w_scale), w1 = load(p.w_scale + kLanes);
  const Vf bias0 = load(p.bias), bias1 = load(p.bias + kLanes), gate0 = load(p.gate), gate1 = load(p.gate + kLanes);
  for (std::int64_t r = 0; r < count; ++r, sums += kPanel, y += y_pitch, add += add_pitch) {
    const auto row = scales[r];
    Vf v0 = scaled(sums, w0, row), v1 = scaled(sums + kLanes, w1, row);
    if constexpr (F == Form::paired) {
      store(y, activate<A>(v0) * v1);
      continue;
    }
    v0 = activate<A>(v0 + bias0) * gate0;
    v1 = activate<A>(v1 + bias1) * gate1;
    if constexpr (F == Form::full) {
      store(y, v0 + load(add));
      store(y + kLanes, v1 + load(add + kLanes));
    } else if (right <= 0) {
      store_first(y, v0 + load_first(add, p.columns), p.columns);
    } else {
      store(y, v0 + load(add));
      store_first(y + kLanes, v1 + load_first(add + kLanes, right), right);
    }
  }
}

template <Form F, class Sum, class Y>
void form(const MatMul& op, const PanelVectors& p, std::int64_t first, std::int64_t count, const Sum* sums) noexcept {
  switch (op.act) {
    case Activation::none: return rows<F, Activation::none, Sum, Y>(op, p, first, count, sums);
    case Activation::gelu_tanh: return rows<F, Activation::gelu_tanh, Sum, Y>(op, p, first, count, sums);
    case Activation::silu: return rows<F, Activation::silu, Sum, Y>(op, p, first, count, sums);
  }
}

template <class Sum, class Y>
void typed(const MatMul& op, const PanelVectors& p, std::int64_t first, std::int64_t count, const Sum* sums) noexcept {
  if (op.paired) return form<Form::paired, Sum, Y>(op, p, first, count, sums);
  if (p.columns < kPanel) return form<Form::part, Sum, Y>(op, p, first, count, sums);
  form<Form::full, Sum, Y>(op, p, first, count, sums);
}

}  // namespace epilogue

FLASHRT_SIMD PanelVectors panel_vectors(const MatMul& op, std::int64_t panel) {
  PanelVectors p;
  p.first = panel * kPanel;
  p.columns = op.w.dim(0) - p.first < kPanel ? op.w.dim(0) - p.first : kPanel;
  p.y_column = op.paired ? p.first / 2 : p.first;
  epilogue::cut(op.w_scale, p, 1.0f, p.w_scale);
  epilogue::cut(op.bias, p, 0.0f, p.bias);
  epilogue::cut(op.gate, p, 1.0f, p.gate);
  return p;
}

// Finishes rows [first, first + count) of one panel; `sums` is Sum[count][32].
template <class Sum>
void finish(const MatMul& op, const PanelVectors& p, std::int64_t first, std::int64_t count, const Sum* sums) noexcept {
  if (op.y.dtype == DType::bf16)
    epilogue::typed<Sum, Bf16>(op, p, first, count, sums);
  else
    epilogue::typed<Sum, float>(op, p, first, count, sums);
}

}  // namespace flashrt::FLASHRT_ISA
