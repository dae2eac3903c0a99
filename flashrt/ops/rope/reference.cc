// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "flashrt/core/packed_rhs.h"
#include "flashrt/ops/rope/rope.h"

namespace flashrt {

void reference(const Rope& op) {
  const std::int64_t H = op.heads, G = op.kv_heads, T = op.qkv.dim(0), hd = op.qkv.dim(1) / (H + 2 * G), half = hd / 2;
  const std::int64_t block = op.block ? op.block : T;
  for (std::int64_t t = 0; t < T; ++t) {
    const std::byte* row = op.qkv.row<std::byte>(t);
    auto input = [&](std::int64_t head, std::int64_t i) {
      return static_cast<double>(load_as_float(row, op.qkv.dtype, head * hd + i));
    };
    auto rotated = [&](std::int64_t head, std::int64_t i) {
      if (!op.cos) return input(head, i);
      const std::int64_t position = (op.position ? *op.position : 0) + op.first_position + t;
      const std::int64_t p = std::clamp<std::int64_t>(position, 0, op.cos.dim(0) - 1);
      const double c = static_cast<double>(op.cos.row<float>(p)[i % half]);
      const double s = static_cast<double>(op.sin.row<float>(p)[i % half]);
      return i < half ? input(head, i) * c - input(head, i + half) * s : input(head, i) * c + input(head, i - half) * s;
    };
    if (op.q)
      for (std::int64_t i = 0; i < H * hd; ++i)
        store_from_float(op.q.row<std::byte>(t), op.q.dtype, i,
                         static_cast<float>(rotated(i / hd, i % hd) * static_cast<double>(op.q_scale)));
    const std::int64_t cached = op.cache_row + t % block;
    for (std::int64_t g = 0; g < G; ++g) {
      for (std::int64_t i = 0; i < hd; ++i) {
        set_packed_value(op.k_cache, t / block * G + g, cached, i, static_cast<float>(rotated(H + g, i)));
        set_packed_value(op.v_cache, t / block * G + g, i, cached, static_cast<float>(input(H + G + g, i)));
      }
    }
  }
}

}  // namespace flashrt
