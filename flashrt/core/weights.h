// SPDX-License-Identifier: Apache-2.0
// What a model asks of its checkpoint, declared once; checking, loading, filling with random values and saving are
// readings of that one declaration.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "flashrt/core/tensor.h"

namespace flashrt {

// A matmul's right-hand side as a kernel takes it; what is set decides which row matches.
struct Linear {
  Tensor w;             // [N, K] packed_rhs
  Tensor w_scale;       // [N] f32, i8 weights only
  Tensor bias;          // [N] f32, optional
  bool paired = false;  // gate and up branches interleaved, see MatMul

  std::int64_t N() const { return w.dim(0); }
  std::int64_t K() const { return w.dim(1); }
  std::int64_t outputs() const { return paired ? N() / 2 : N(); }
};

// One matrix of a Linear as the checkpoint holds it: `name`.weight [rows, K], and `name`.bias [rows].
struct LinearPart {
  std::string name;
  std::int64_t rows = 0;
};

struct LinearSpec {
  std::string_view group;         // whose precision it takes: "vision", "prefix", "expert", "head"
  std::vector<LinearPart> parts;  // stacked along N
  std::int64_t K = 0;
  bool bias = false;
  bool high = false;          // bf16 where its group is i8: embeddings and heads that lose too much
  bool paired = false;        // two equal parts, gate and up, interleaved by 16 columns and padded with zeros to 16
  std::string offset_gain{};  // name of a [K] vector g: columns of w are multiplied by 1 + g (the norm before it)
  float scale = 1;            // multiplies w and bias
  // A convolution weight [N, channels, p, p] that is to be read [N, p, p, channels]; 0: a plain matrix.
  std::int64_t channels = 0;
};

// A tensor kept as it is.
enum class Keep : std::uint8_t {
  f32,     // converted to f32
  stored,  // a table too large to widen: bf16 and f16 stay, f32 becomes bf16 unless its group runs in f32
};

class Weights {
 public:
  virtual ~Weights() = default;
  virtual void linear(Linear& out, const LinearSpec& spec) = 0;
  virtual void tensor(Tensor& out, std::string_view group, const std::string& name, Shape shape,
                      Keep keep = Keep::f32) = 0;
  // In every complete checkpoint and not needed: checked when there, never read.
  virtual void unused(const std::string& name, Shape shape) = 0;
};

}  // namespace flashrt
