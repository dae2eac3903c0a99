// SPDX-License-Identifier: Apache-2.0
// Keys and values of every layer, packed as the attention rows read them.
#pragma once

#include <vector>

#include "flashrt/core/arena.h"

namespace flashrt {

struct KvLayer {
  Tensor k;  // [B, S, hd] packed_rhs
  Tensor v;  // [B, hd, S] packed_rhs
};

struct KvCache {
  std::vector<KvLayer> layers;

  // `batch` is blocks times key heads; `rows` is S.
  KvCache() = default;
  KvCache(Arena& state, std::int64_t depth, std::int64_t batch, std::int64_t rows, std::int64_t head_dim, DType dtype);
  static std::size_t bytes(std::int64_t depth, std::int64_t batch, std::int64_t rows, std::int64_t head_dim,
                           DType dtype);
};

}  // namespace flashrt
