// SPDX-License-Identifier: Apache-2.0
// The yardstick of the matmul bench: oneDNN with weights in the layout it chooses itself.
//
// Its i8 products have one static scale a tensor (and u8 inputs, its fastest kind), so it is spared the row maxima,
// quantisation and per-row scales that ours pay for.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

#include <oneapi/dnnl/dnnl.hpp>

#include "flashrt/core/dtype.h"

namespace flashrt::bench {

inline dnnl::memory::data_type dnnl_type(DType t, bool input = false) {
  using Type = dnnl::memory::data_type;
  return t == DType::f32 ? Type::f32 : t == DType::bf16 ? Type::bf16 : input ? Type::u8 : Type::s8;
}

// One primitive with its memories. Dense products cost the same whatever the values.
class DnnlMatMul {
 public:
  struct Shape {
    std::int64_t M, N, K;
  };
  // `gelu` applies gelu_tanh to the product, `times` multiplies it by a matrix of y's shape, `accumulate` adds it to y.
  struct Extra {
    bool gelu = false, times = false, accumulate = false;
  };

  DnnlMatMul(const dnnl::engine& engine, Shape s, DType dtype, DType out, Extra extra, std::int64_t copies = 1) {
    using Memory = dnnl::memory;
    const Memory::dims x{s.M, s.K}, w{s.K, s.N}, y{s.M, s.N};
    const auto row = Memory::format_tag::ab;
    const Memory::desc y_desc(y, out == DType::i8 ? Memory::data_type::u8 : dnnl_type(out), row);
    const Memory::desc times_desc(y, dnnl_type(DType::bf16), row);
    dnnl::post_ops post;
    if (extra.gelu) post.append_eltwise(1, dnnl::algorithm::eltwise_gelu_tanh, 0, 0);
    if (extra.times) post.append_binary(dnnl::algorithm::binary_mul, times_desc);
    if (out == DType::i8) post.append_eltwise(1, dnnl::algorithm::eltwise_linear, 1, 128);
    if (extra.accumulate) post.append_sum(1);
    dnnl::primitive_attr attributes;
    attributes.set_post_ops(post);
    if (dtype == DType::i8) attributes.set_output_scales(0, {0.01f});
    const dnnl::matmul::primitive_desc pd({Memory::desc(x, dnnl_type(dtype, true), row),
                                           Memory::desc(w, dnnl_type(dtype), Memory::format_tag::any), y_desc},
                                          attributes, engine);
    primitive_ = dnnl::matmul(pd);
    x_ = Memory(pd.src_desc(), engine);
    y_ = Memory(y_desc, engine);
    for (std::int64_t i = 0; i < copies; ++i) {
      weights_.emplace_back(pd.weights_desc(), engine);
      fill(weights_.back());
    }
    fill(x_);
    fill(y_);
    arguments_ = {{DNNL_ARG_SRC, x_}, {DNNL_ARG_WEIGHTS, weights_[0]}, {DNNL_ARG_DST, y_}};
    if (extra.times) {
      times_ = Memory(times_desc, engine);
      fill(times_);
      arguments_.insert({DNNL_ARG_ATTR_MULTIPLE_POST_OP(extra.gelu ? 1 : 0) | DNNL_ARG_SRC_1, times_});
    }
  }

  void use_x(const dnnl::memory& x) { arguments_[DNNL_ARG_SRC] = x_ = x; }
  void use_times(const dnnl::memory& t) {
    for (auto& [key, memory] : arguments_)
      if (key & DNNL_ARG_ATTR_MULTIPLE_POST_OP_BASE) memory = t;
  }
  const dnnl::memory& y() const { return y_; }

  // Runs with the next copy of the weights and waits for the end.
  void run(dnnl::stream& stream) {
    arguments_[DNNL_ARG_WEIGHTS] = weights_[next_++ % weights_.size()];
    primitive_.execute(stream, arguments_);
    stream.wait();
  }

 private:
  // Bytes that are small numbers in every type; the weights of i8 may carry sums behind them, which are filled like the
  // rest.
  static void fill(const dnnl::memory& m) {
    auto* bytes = static_cast<std::uint8_t*>(m.get_data_handle());
    const std::size_t size = m.get_desc().get_size();
    std::uint32_t state = 1;
    for (std::size_t i = 0; i < size; ++i) {
      state = state * 1664525u + 1013904223u;
      bytes[i] = static_cast<std::uint8_t>((state >> 24) & 0xbfu);
    }
  }

  dnnl::matmul primitive_;
  dnnl::memory x_, y_, times_;
  std::vector<dnnl::memory> weights_;
  std::unordered_map<int, dnnl::memory> arguments_;
  std::size_t next_ = 0;
};

}  // namespace flashrt::bench
