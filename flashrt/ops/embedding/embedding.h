// SPDX-License-Identifier: Apache-2.0
// y[t] = table[ids[t]] * scale: rows of an embedding table by token id.
#pragma once

#include "flashrt/core/op.h"

namespace flashrt {

struct Embedding {
  static constexpr std::string_view name = "embedding";
  Tensor ids;    // [T] i32, read when the program runs; the session checks them, the op clamps them to [0, V)
  Tensor table;  // [V, D] f32, f16 or bf16
  Tensor y;      // [T, D] f32 or bf16
  float scale = 1;
  // Tokens that exist when the program runs; rows of y past them become zeros. Null: all T.
  const std::int32_t* valid = nullptr;

  void check() const;
  void access(Accesses&) const;
  Cost cost() const;
};
void reference(const Embedding&);

}  // namespace flashrt
