// SPDX-License-Identifier: Apache-2.0
#include "flashrt/nn/linear.h"

#include "flashrt/ops/quantize/quantize.h"

namespace flashrt {

DType working_dtype(const Linear& w) { return w.w.dtype == DType::f32 ? DType::f32 : DType::bf16; }

Act input_for(Recorder& r, const Linear& w, std::int64_t T) {
  Act a;
  a.x = r.temp({T, w.K()}, w.w.dtype);
  if (w.w.dtype == DType::i8) a.scale = r.temp({T, 2}, DType::f32);
  return a;
}

Act as_input(Recorder& r, const Tensor& x, const Linear& w, std::string_view label) {
  if (x.dtype == w.w.dtype) return {x, {}};
  Act a = input_for(r, w, x.dim(0));
  r(Quantize{.x = x, .y = a.x, .y_scale = a.scale}, label);
  return a;
}

MatMul mat_mul(const Act& x, const Linear& w, const Tensor& y) {
  return {.x = x.x, .w = w.w, .y = y, .x_scale = x.scale, .w_scale = w.w_scale, .bias = w.bias, .paired = w.paired};
}

Act rms_norm(Recorder& r, const Tensor& x, const Linear& w, float eps, const Tensor& gain, const Tensor& shift,
             std::string_view label) {
  Act n = input_for(r, w, x.dim(0));
  r(RmsNorm{.x = x, .y = n.x, .gain = gain, .shift = shift, .y_scale = n.scale, .eps = eps}, label);
  return n;
}

Act layer_norm(Recorder& r, const Tensor& x, const Linear& w, float eps, const Tensor& gain, const Tensor& bias,
               std::string_view label) {
  Act n = input_for(r, w, x.dim(0));
  r(LayerNorm{.x = x, .y = n.x, .gain = gain, .bias = bias, .y_scale = n.scale, .eps = eps}, label);
  return n;
}

}  // namespace flashrt
