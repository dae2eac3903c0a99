// SPDX-License-Identifier: Apache-2.0
// The panel layout of a matmul right-hand side [N, K] on the CPU: weights, and the K and V caches of attention.
//
// N is cut into panels of 32 columns; inside a panel K runs outermost in groups of `packed_group(dtype)` elements
// (f32 1, bf16 2, 8-bit 4), so that one 64-byte vector holds one group of 16 columns:
//     element (n, k) at [n / 32][k / g][n % 32][k % g].
// N is padded to 32 and K to a multiple of the group; the padding must be zero.
// Signed 8-bit weights are stored biased by 128 (DType::i8 in the tensor, the byte is w + 128), because the dot-product
// instruction wants one unsigned operand; rows correct by 128 * sum(x). Padding then is the byte 128.
// A batch [B, N, K] is B of these, `stride[0]` elements apart.
#pragma once

#include <cstdint>

#include "flashrt/core/tensor.h"

namespace flashrt {

inline constexpr std::int64_t kPanel = 32;
inline constexpr int kPackedBias = 128;

constexpr std::int64_t round_up(std::int64_t n, std::int64_t to) { return (n + to - 1) / to * to; }
constexpr std::int64_t packed_group(DType t) { return bits(t) >= 32 ? 1 : 32 / bits(t); }
constexpr std::int64_t packed_depth(DType t, std::int64_t K) { return round_up(K, packed_group(t)); }
// Elements of one panel, and of one packed [N, K].
constexpr std::int64_t packed_panel(DType t, std::int64_t K) { return kPanel * packed_depth(t, K); }
constexpr std::int64_t packed_elements(DType t, std::int64_t N, std::int64_t K) {
  return round_up(N, kPanel) / kPanel * packed_panel(t, K);
}
constexpr std::int64_t packed_index(DType t, std::int64_t K, std::int64_t n, std::int64_t k) {
  std::int64_t g = packed_group(t);
  return n / kPanel * packed_panel(t, K) + (k / g * kPanel + n % kPanel) * g + k % g;
}

std::int64_t packed_rhs_bytes(const Shape&, DType);
// A view of packed memory; shape [N, K] or [B, N, K].
Tensor packed_rhs(void* data, Shape, DType);
// Fills the whole tensor with zeros (the biased zero for i8).
void clear_packed_rhs(const Tensor&);
// Element (n, k) of matrix b, bias removed; for references and tests.
float packed_value(const Tensor&, std::int64_t b, std::int64_t n, std::int64_t k);
void set_packed_value(const Tensor&, std::int64_t b, std::int64_t n, std::int64_t k, float value);

}  // namespace flashrt
