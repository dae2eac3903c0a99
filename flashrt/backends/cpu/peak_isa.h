// SPDX-License-Identifier: Apache-2.0
// Register-only loops, one per row set, that run at the arithmetic peak of a core.
#pragma once

#include <cstdint>

namespace flashrt {

// Each runs `rounds` rounds and returns the flops done; `sink` keeps the compiler honest.
#define FLASHRT_DECLARE_PEAKS(isa)                             \
  namespace isa {                                              \
  double peak_f32(std::int64_t rounds, float* sink) noexcept;  \
  double peak_bf16(std::int64_t rounds, float* sink) noexcept; \
  double peak_i8(std::int64_t rounds, float* sink) noexcept;   \
  }
FLASHRT_DECLARE_PEAKS(portable)
FLASHRT_DECLARE_PEAKS(avx2)
FLASHRT_DECLARE_PEAKS(avx512)
#undef FLASHRT_DECLARE_PEAKS

}  // namespace flashrt
