// SPDX-License-Identifier: Apache-2.0
// One register of simd.h's vectors: its types, and what the instruction sets do differently.
#pragma once

#include <cstdint>
#include <cstring>

#pragma GCC diagnostic push
#if defined(__GNUC__) && !defined(__clang__)
// g++ 12 warns of the deliberately undefined operands inside its own AVX-512 intrinsics (GCC bug 105593).
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <immintrin.h>
#pragma GCC diagnostic pop

#include "flashrt/ops/cpu_rows.h"

#pragma GCC diagnostic ignored "-Wpsabi"  // every function here is inlined: no vector crosses a call

#define FLASHRT_SIMD [[gnu::always_inline]] inline

namespace flashrt::FLASHRT_ISA {

inline constexpr int kLanes = 16;

// Storage types that load and store as floats.
struct Bf16 {
  std::uint16_t bits;
};
struct F16 {
  std::uint16_t bits;
};

namespace simd {

#if defined(__AVX512F__)
inline constexpr int kRegister = 64;
#elif defined(__AVX2__)
inline constexpr int kRegister = 32;
#else
inline constexpr int kRegister = 16;
#endif
inline constexpr int kRegisterLanes = kRegister / 4;

typedef float Nf __attribute__((vector_size(kRegister)));
typedef std::int32_t Ni __attribute__((vector_size(kRegister)));
typedef std::uint32_t Nu __attribute__((vector_size(kRegister)));
typedef float UnalignedNf __attribute__((vector_size(kRegister), aligned(4), may_alias));
typedef std::int32_t UnalignedNi __attribute__((vector_size(kRegister), aligned(4), may_alias));

FLASHRT_SIMD Ni as_int(Nf v) { return (Ni)v; }
FLASHRT_SIMD Nf as_float(Ni v) { return (Nf)v; }
FLASHRT_SIMD Nf to_float(Ni v) { return __builtin_convertvector(v, Nf); }
FLASHRT_SIMD Nf select(Ni mask, Nf a, Nf b) { return mask != 0 ? a : b; }
FLASHRT_SIMD Ni select(Ni mask, Ni a, Ni b) { return mask != 0 ? a : b; }

#if defined(__AVX512F__)
FLASHRT_SIMD Nf max(Nf a, Nf b) { return _mm512_max_ps(a, b); }
FLASHRT_SIMD Nf min(Nf a, Nf b) { return _mm512_min_ps(a, b); }
FLASHRT_SIMD Ni round_to_int(Nf v) { return (Ni)_mm512_cvtps_epi32(v); }
FLASHRT_SIMD void load(const Bf16* p, Nf& v) {
  v = (Nf)_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i_u*>(p))), 16);
}
FLASHRT_SIMD void load(const F16* p, Nf& v) {
  v = (Nf)_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i_u*>(p)));
}
#elif defined(__AVX2__)
FLASHRT_SIMD Nf max(Nf a, Nf b) { return _mm256_max_ps(a, b); }
FLASHRT_SIMD Nf min(Nf a, Nf b) { return _mm256_min_ps(a, b); }
FLASHRT_SIMD Ni round_to_int(Nf v) { return (Ni)_mm256_cvtps_epi32(v); }
FLASHRT_SIMD void load(const Bf16* p, Nf& v) {
  v = (Nf)_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i_u*>(p))), 16);
}
FLASHRT_SIMD void load(const F16* p, Nf& v) {
  v = _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i_u*>(p)));
}
// Eight ints that fit 16 bits.
FLASHRT_SIMD void store_16bit(std::uint16_t* p, Ni v) {
  __m256i both = _mm256_permute4x64_epi64(_mm256_packs_epi32((__m256i)v, (__m256i)v), 0x08);
  _mm_storeu_si128(reinterpret_cast<__m128i_u*>(p), _mm256_castsi256_si128(both));
}
#else
FLASHRT_SIMD Nf max(Nf a, Nf b) { return _mm_max_ps(a, b); }
FLASHRT_SIMD Nf min(Nf a, Nf b) { return _mm_min_ps(a, b); }
FLASHRT_SIMD Ni round_to_int(Nf v) { return (Ni)_mm_cvtps_epi32(v); }
FLASHRT_SIMD __m128i load_16bit(const void* p) { return _mm_loadl_epi64(static_cast<const __m128i_u*>(p)); }
FLASHRT_SIMD void load(const Bf16* p, Nf& v) { v = (Nf)_mm_unpacklo_epi16(_mm_setzero_si128(), load_16bit(p)); }
FLASHRT_SIMD void load(const F16* p, Nf& v) {
  Ni h = (Ni)_mm_unpacklo_epi16(load_16bit(p), _mm_setzero_si128());
  // Exponent and mantissa in place, times 2^112: right for subnormals too.
  Nf magnitude = as_float((h & 0x7fff) << 13) * 0x1p112f;
  Ni top = (h & 0x7fff) >= 0x7c00 ? (Ni{} | 0x7f800000) : Ni{};  // infinity and NaN
  v = as_float(as_int(magnitude) | top | ((h & 0x8000) << 16));
}
FLASHRT_SIMD void store_16bit(std::uint16_t* p, Ni v) {
  _mm_storel_epi64(reinterpret_cast<__m128i_u*>(p), _mm_packs_epi32((__m128i)v, (__m128i)v));
}
#endif

#if defined(__AVX512BF16__)
// Denormals become zero here, in this set only.
FLASHRT_SIMD void store(Bf16* p, Nf v) {
  _mm256_storeu_si256(reinterpret_cast<__m256i_u*>(p), (__m256i)_mm512_cvtneps_pbh(v));
}
#else
FLASHRT_SIMD void store(Bf16* p, Nf v) {
  Ni u = as_int(v);
  Ni rounded = u + 0x7fff + ((u >> 16) & 1);
  store_16bit(&p->bits, select(Ni(v != v), u | 0x400000, rounded) >> 16);
}
#endif

FLASHRT_SIMD void load(const float* p, Nf& v) { v = *reinterpret_cast<const UnalignedNf*>(p); }
FLASHRT_SIMD void load(const std::int32_t* p, Ni& v) { v = *reinterpret_cast<const UnalignedNi*>(p); }
FLASHRT_SIMD void store(float* p, Nf v) { *reinterpret_cast<UnalignedNf*>(p) = v; }
FLASHRT_SIMD void store(std::int32_t* p, Ni v) { *reinterpret_cast<UnalignedNi*>(p) = v; }
FLASHRT_SIMD void splat(float x, Nf& v) { v = x - Nf{}; }
FLASHRT_SIMD void splat(std::int32_t x, Ni& v) { v = x - Ni{}; }

}  // namespace simd
}  // namespace flashrt::FLASHRT_ISA
