// SPDX-License-Identifier: Apache-2.0
// Activations in the form a weight takes them: the one place where a forward meets precision.
#pragma once

#include <string_view>

#include "flashrt/core/recorder.h"
#include "flashrt/core/weights.h"
#include "flashrt/ops/layer_norm/layer_norm.h"
#include "flashrt/ops/mat_mul/mat_mul.h"
#include "flashrt/ops/rms_norm/rms_norm.h"

namespace flashrt {

// The left-hand side of a matmul: values, and their row scales when they are i8.
struct Act {
  Tensor x;      // [T, K]
  Tensor scale;  // [T, 2] f32
};

// What is kept between the ops of a layer whose weights are `w`: f32 for f32 weights, bf16 otherwise.
DType working_dtype(const Linear& w);
// A temporary that `w` takes as it is.
Act input_for(Recorder&, const Linear& w, std::int64_t T);
// `x` as `w` takes it: itself, or quantised.
Act as_input(Recorder&, const Tensor& x, const Linear& w, std::string_view label);
// The product with weight, scales and bias filled in; epilogue fields are the caller's.
MatMul mat_mul(const Act& x, const Linear& w, const Tensor& y);

// Norms straight into the form `w` takes.
Act rms_norm(Recorder&, const Tensor& x, const Linear& w, float eps, const Tensor& gain, const Tensor& shift,
             std::string_view label);
Act layer_norm(Recorder&, const Tensor& x, const Linear& w, float eps, const Tensor& gain, const Tensor& bias,
               std::string_view label);

}  // namespace flashrt
