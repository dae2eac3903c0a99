// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "flashrt/core/packed_rhs.h"
#include "flashrt/ops/attention/attention.h"

namespace flashrt {

void reference(const Attention& op) {
  const std::int64_t T = op.q.dim(0), hd = op.q.dim(1) / op.heads, group = op.heads / op.kv_heads;
  const std::int64_t valid = op.valid ? std::clamp<std::int64_t>(*op.valid, 0, op.prefix) : op.prefix;
  std::vector<double> p(static_cast<std::size_t>(op.keys));
  for (std::int64_t t = 0; t < T; ++t) {
    for (std::int64_t h = 0; h < op.heads; ++h) {
      const std::int64_t cache = (op.block ? t / op.block : 0) * op.kv_heads + h / group;
      auto visible = [&](std::int64_t key) { return key < valid || key >= op.prefix; };
      const std::byte* q = op.q.row<std::byte>(t);
      double largest = -std::numeric_limits<double>::infinity(), sum = 0;
      for (std::int64_t key = 0; key < op.keys; ++key) {
        if (!visible(key)) continue;
        double score = 0;
        for (std::int64_t i = 0; i < hd; ++i)
          score += static_cast<double>(load_as_float(q, op.q.dtype, h * hd + i)) *
                   static_cast<double>(packed_value(op.k_cache, cache, key, i));
        p[static_cast<std::size_t>(key)] = score;
        largest = std::max(largest, score);
      }
      for (std::int64_t key = 0; key < op.keys; ++key) {
        double& x = p[static_cast<std::size_t>(key)];
        if (visible(key)) sum += x = std::exp(x - largest);
      }
      for (std::int64_t i = 0; i < hd; ++i) {
        double value = 0;
        for (std::int64_t key = 0; key < op.keys; ++key)
          if (visible(key))
            value += p[static_cast<std::size_t>(key)] * static_cast<double>(packed_value(op.v_cache, cache, i, key));
        // A row that sees no key at all is zero.
        store_from_float(op.y.row<std::byte>(t), op.y.dtype, h * hd + i,
                         static_cast<float>(sum == 0 ? 0 : value / sum));
      }
    }
  }
}

}  // namespace flashrt
