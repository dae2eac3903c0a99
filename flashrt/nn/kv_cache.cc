// SPDX-License-Identifier: Apache-2.0
#include "flashrt/nn/kv_cache.h"

#include "flashrt/core/packed_rhs.h"

namespace flashrt {

KvCache::KvCache(Arena& state, std::int64_t depth, std::int64_t batch, std::int64_t rows, std::int64_t head_dim,
                 DType dtype) {
  for (std::int64_t i = 0; i < depth; ++i)
    layers.push_back({state.packed({batch, rows, head_dim}, dtype), state.packed({batch, head_dim, rows}, dtype)});
}

std::size_t KvCache::bytes(std::int64_t depth, std::int64_t batch, std::int64_t rows, std::int64_t head_dim,
                           DType dtype) {
  std::int64_t layer =
      packed_rhs_bytes({batch, rows, head_dim}, dtype) + packed_rhs_bytes({batch, head_dim, rows}, dtype);
  return static_cast<std::size_t>(depth * (layer + 2 * static_cast<std::int64_t>(Arena::kAlign)));
}

}  // namespace flashrt
