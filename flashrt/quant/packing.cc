// SPDX-License-Identifier: Apache-2.0
#include "flashrt/quant/packing.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "flashrt/core/error.h"
#include "flashrt/core/packed_rhs.h"

namespace flashrt {
namespace {

// Elements of K converted per step: the tile of 32 rows stays in L1 while it is transposed.
constexpr std::int64_t kStep = 64;

// Writes rows[n][k] converted by `convert` at panel[k / G][n][k % G].
template <int G, class T, class Convert>
void interleave(const float* rows, std::int64_t count, std::int64_t K, T* panel, T zero, Convert convert) {
  alignas(64) T tile[kPanel][kStep];
  for (auto& row : tile) std::fill(std::begin(row), std::end(row), zero);
  for (std::int64_t k0 = 0; k0 < K; k0 += kStep) {
    std::int64_t width = std::min(kStep, K - k0);
    for (std::int64_t n = 0; n < count; ++n) {
      const float* from = rows + n * K + k0;
      T* to = tile[n];
      for (std::int64_t k = 0; k < width; ++k) to[k] = convert(from[k], n);
      for (std::int64_t k = width; k < kStep; ++k) to[k] = zero;
    }
    T* out = panel + k0 * kPanel;
    std::int64_t groups = (width + G - 1) / G;
    for (std::int64_t g = 0; g < groups; ++g)
      for (std::int64_t n = 0; n < kPanel; ++n) std::memcpy(out + (g * kPanel + n) * G, &tile[n][g * G], sizeof(T) * G);
  }
}

}  // namespace

void pack_panel(const float* rows, std::int64_t count, std::int64_t K, DType dtype, std::byte* panel, float* scale) {
  require(count >= 0 && count <= kPanel, "a panel has {} rows, not {}", kPanel, count);
  switch (dtype) {
    case DType::f32:
      return interleave<1>(rows, count, K, reinterpret_cast<float*>(panel), 0.0f,
                           [](float x, std::int64_t) { return x; });
    case DType::bf16:
      return interleave<2>(rows, count, K, reinterpret_cast<std::uint16_t*>(panel), std::uint16_t{0},
                           [](float x, std::int64_t) {
                             auto u = std::bit_cast<std::uint32_t>(x);
                             return static_cast<std::uint16_t>((u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
                           });
    case DType::i8: {
      float inverse[kPanel];
      for (std::int64_t n = 0; n < count; ++n) {
        float peak = 0;
        for (std::int64_t k = 0; k < K; ++k) peak = std::max(peak, std::fabs(rows[n * K + k]));
        scale[n] = peak > 0 ? peak / 127.0f : 1.0f;
        inverse[n] = peak > 0 ? 127.0f / peak : 0.0f;
      }
      // Adding 1.5 * 2^23 leaves the rounded integer in the low bits of the mantissa.
      return interleave<4>(rows, count, K, reinterpret_cast<std::uint8_t*>(panel),
                           static_cast<std::uint8_t>(kPackedBias), [&inverse](float x, std::int64_t n) {
                             auto u = std::bit_cast<std::uint32_t>(x * inverse[n] + 12582912.0f);
                             return static_cast<std::uint8_t>(u + kPackedBias);
                           });
    }
    default: fail("weights cannot be packed as {}; use f32, bf16 or i8", name(dtype));
  }
}

}  // namespace flashrt
