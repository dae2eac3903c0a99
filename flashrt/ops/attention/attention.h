// SPDX-License-Identifier: Apache-2.0
// y = softmax(q k^T) v, per head; q is already scaled. MHA, GQA and MQA, bidirectional, with prefix and block masks.
#pragma once

#include "flashrt/core/op.h"

namespace flashrt {

struct Attention {
  static constexpr std::string_view name = "attention";
  Tensor q;                              // [T, H * hd] f32 or bf16
  Tensor k_cache;                        // [B, S, hd] packed_rhs, dtype of q; B = blocks * G
  Tensor v_cache;                        // [B, hd, S] packed_rhs
  Tensor y;                              // [T, H * hd] f32 or bf16
  std::int64_t heads = 0, kv_heads = 0;  // H, G: query head h reads key head h / (H / G)
  std::int64_t block = 0;                // rows [b * block, (b + 1) * block) see only caches of block b; 0: one block
  std::int64_t keys = 0;                 // cache rows in use, <= S
  // Prefix mask: of cache rows [0, prefix) only the first *valid exist when the program runs (null: all of them); rows
  // [prefix, keys) all exist.
  std::int64_t prefix = 0;
  const std::int32_t* valid = nullptr;

  void check() const;
  void access(Accesses&) const;
  Cost cost() const;
};
void reference(const Attention&);

}  // namespace flashrt
