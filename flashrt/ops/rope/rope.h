// SPDX-License-Identifier: Apache-2.0
// Splits a merged QKV product, rotates Q and K by position, and writes K and V into their packed caches.
#pragma once

#include "flashrt/core/op.h"

namespace flashrt {

struct Rope {
  static constexpr std::string_view name = "rope";
  Tensor qkv;      // [T, (H + 2G) * hd] f32 or bf16: H query heads, G key heads, G value heads
  Tensor q{};      // [T, H * hd] f32 or bf16; unset: only K and V are wanted
  Tensor k_cache;  // [B, S, hd] packed_rhs, B = blocks * G; f32 or bf16
  Tensor v_cache;  // [B, hd, S] packed_rhs
  Tensor cos{};    // [P, hd/2] f32, row p is position p; unset (with sin): no rotation
  Tensor sin{};    // [P, hd/2] f32
  // Position of row 0 when the program runs, added to `first_position`; null: 0. Positions run on within the call and
  // are clamped to P - 1 (rows past the valid ones).
  const std::int32_t* position = nullptr;
  std::int64_t first_position = 0;
  std::int64_t cache_row = 0;  // row of the cache that row 0 goes to
  // Rows are cut into blocks of `block` that have caches of their own (block b, head g: cache b * G + g); 0: one block.
  std::int64_t block = 0;
  std::int64_t heads = 0, kv_heads = 0;  // H, G
  float q_scale = 1;                     // multiplies q after rotation (hd^-0.5)

  void check() const;
  void access(Accesses&) const;
  Cost cost() const;
};
void reference(const Rope&);

}  // namespace flashrt
