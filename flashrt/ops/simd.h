// SPDX-License-Identifier: Apache-2.0
// Sixteen-lane vectors for cpu.cc files: the same kernel text in every row set, one, two or four registers a value.
//
// Vf and Vi hold 16 floats and 16 ints. In the avx512 set they are plain 64-byte vectors (and convert to __m512 and
// __m512i); in the others pairs of narrower ones, because g++ keeps pairs in registers and spills oversized vectors.
// `a * b + c` becomes one fused multiply-add where the row set has it. Comparisons give a Vi of 0 and -1 lanes for
// select(). All loads and stores may be unaligned.
#pragma once

#include <cstdint>
#include <cstring>

#include "flashrt/ops/simd_register.h"

namespace flashrt::FLASHRT_ISA {
namespace simd {

template <class H>
struct Pair {
  H lo, hi;
};

template <class T>
struct IntOf;
template <>
struct IntOf<Nf> {
  using Type = Ni;
};
template <>
struct IntOf<Ni> {
  using Type = Ni;
};
template <class H>
struct IntOf<Pair<H>> {
  using Type = Pair<typename IntOf<H>::Type>;
};

#define FLASHRT_SIMD_OPERATOR(op)                               \
  template <class H>                                            \
  FLASHRT_SIMD Pair<H> operator op(Pair<H> a, Pair<H> b) {      \
    return {a.lo op b.lo, a.hi op b.hi};                        \
  }                                                             \
  template <class H>                                            \
  FLASHRT_SIMD Pair<H>& operator op##=(Pair<H>& a, Pair<H> b) { \
    a.lo = a.lo op b.lo, a.hi = a.hi op b.hi;                   \
    return a;                                                   \
  }
FLASHRT_SIMD_OPERATOR(+)
FLASHRT_SIMD_OPERATOR(-)
FLASHRT_SIMD_OPERATOR(*)
FLASHRT_SIMD_OPERATOR(/)
FLASHRT_SIMD_OPERATOR(&)
FLASHRT_SIMD_OPERATOR(|)
FLASHRT_SIMD_OPERATOR(^)
#undef FLASHRT_SIMD_OPERATOR
#define FLASHRT_SIMD_COMPARISON(op)                                              \
  template <class H>                                                             \
  FLASHRT_SIMD typename IntOf<Pair<H>>::Type operator op(Pair<H> a, Pair<H> b) { \
    return {a.lo op b.lo, a.hi op b.hi};                                         \
  }
FLASHRT_SIMD_COMPARISON(<)
FLASHRT_SIMD_COMPARISON(>)
FLASHRT_SIMD_COMPARISON(<=)
FLASHRT_SIMD_COMPARISON(>=)
FLASHRT_SIMD_COMPARISON(==)
FLASHRT_SIMD_COMPARISON(!=)
#undef FLASHRT_SIMD_COMPARISON
template <class H>
FLASHRT_SIMD Pair<H> operator<<(Pair<H> a, int n) {
  return {a.lo << n, a.hi << n};
}
template <class H>
FLASHRT_SIMD Pair<H> operator>>(Pair<H> a, int n) {
  return {a.lo >> n, a.hi >> n};
}
template <class H>
FLASHRT_SIMD Pair<H> operator-(Pair<H> a) {
  return {-a.lo, -a.hi};
}

template <class H>
inline constexpr int kHalf = sizeof(H) / 4;  // lanes of one half

template <class T, class H>
FLASHRT_SIMD void load(const T* p, Pair<H>& v) {
  load(p, v.lo), load(p + kHalf<H>, v.hi);
}
template <class T, class H>
FLASHRT_SIMD void store(T* p, Pair<H> v) {
  store(p, v.lo), store(p + kHalf<H>, v.hi);
}
template <class T, class H>
FLASHRT_SIMD void splat(T x, Pair<H>& v) {
  splat(x, v.lo), splat(x, v.hi);
}
template <class H>
FLASHRT_SIMD Pair<H> max(Pair<H> a, Pair<H> b) {
  return {max(a.lo, b.lo), max(a.hi, b.hi)};
}
template <class H>
FLASHRT_SIMD Pair<H> min(Pair<H> a, Pair<H> b) {
  return {min(a.lo, b.lo), min(a.hi, b.hi)};
}
template <class M, class H>
FLASHRT_SIMD Pair<H> select(Pair<M> mask, Pair<H> a, Pair<H> b) {
  return {select(mask.lo, a.lo, b.lo), select(mask.hi, a.hi, b.hi)};
}
template <class H>
FLASHRT_SIMD auto as_int(Pair<H> v) {
  return Pair<decltype(as_int(v.lo))>{as_int(v.lo), as_int(v.hi)};
}
template <class H>
FLASHRT_SIMD auto as_float(Pair<H> v) {
  return Pair<decltype(as_float(v.lo))>{as_float(v.lo), as_float(v.hi)};
}
template <class H>
FLASHRT_SIMD auto to_float(Pair<H> v) {
  return Pair<decltype(to_float(v.lo))>{to_float(v.lo), to_float(v.hi)};
}
template <class H>
FLASHRT_SIMD auto round_to_int(Pair<H> v) {
  return Pair<decltype(round_to_int(v.lo))>{round_to_int(v.lo), round_to_int(v.hi)};
}

#if defined(__AVX512F__)
using Vf = Nf;
using Vi = Ni;
#elif defined(__AVX2__)
using Vf = Pair<Nf>;
using Vi = Pair<Ni>;
#else
using Vf = Pair<Pair<Nf>>;
using Vi = Pair<Pair<Ni>>;
#endif

// Lane i with lane i + 8, then i + 4, i + 2, i + 1: the same order in every row set.
template <class Join>
FLASHRT_SIMD float reduce(__m128 v, Join join) {
  v = join(v, _mm_movehl_ps(v, v));
  return _mm_cvtss_f32(join(v, _mm_shuffle_ps(v, v, 1)));
}
#if defined(__AVX2__)
template <class Join>
FLASHRT_SIMD float reduce(__m256 v, Join join) {
  return reduce(join(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1)), join);
}
#endif
#if defined(__AVX512F__)
template <class Join>
FLASHRT_SIMD float reduce(__m512 v, Join join) {
  return reduce(join(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1)), join);
}
#endif
template <class H, class Join>
FLASHRT_SIMD float reduce(Pair<H> v, Join join) {
  return reduce(join(v.lo, v.hi), join);
}
struct Add {
  template <class V>
  FLASHRT_SIMD V operator()(V a, V b) const {
    return a + b;
  }
};
struct Max {
  template <class H>
  FLASHRT_SIMD Pair<H> operator()(Pair<H> a, Pair<H> b) const {
    return max(a, b);
  }
  FLASHRT_SIMD __m128 operator()(__m128 a, __m128 b) const { return _mm_max_ps(a, b); }
#if defined(__AVX2__)
  FLASHRT_SIMD __m256 operator()(__m256 a, __m256 b) const { return _mm256_max_ps(a, b); }
#endif
};

}  // namespace simd

using simd::Vf;
using simd::Vi;
// Also on both types: + - * / & | ^ << >>, comparisons.
using simd::as_float;
using simd::as_int;
using simd::max;  // a NaN in the second operand comes through, one in the first does not
using simd::min;
using simd::round_to_int;  // nearest, ties to even; out of range is INT_MIN
using simd::select;        // a where mask lanes are set, else b
using simd::store;         // (float*, Bf16* or int32_t*, vector); Bf16 rounds to nearest even
using simd::to_float;

FLASHRT_SIMD Vf splat(float x) {
  Vf v;
  simd::splat(x, v);
  return v;
}
FLASHRT_SIMD Vi splat(std::int32_t x) {
  Vi v;
  simd::splat(x, v);
  return v;
}
template <class T>  // float, Bf16, F16
FLASHRT_SIMD Vf load(const T* p) {
  Vf v;
  simd::load(p, v);
  return v;
}
FLASHRT_SIMD Vi load(const std::int32_t* p) {
  Vi v;
  simd::load(p, v);
  return v;
}

// Sixteen unsigned bytes.
FLASHRT_SIMD Vi load_u8(const std::uint8_t* p) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i_u*>(p));
#if defined(__AVX512F__)
  return (Vi)_mm512_cvtepu8_epi32(bytes);
#elif defined(__AVX2__)
  return {(simd::Ni)_mm256_cvtepu8_epi32(bytes), (simd::Ni)_mm256_cvtepu8_epi32(_mm_srli_si128(bytes, 8))};
#else
  const __m128i zero = _mm_setzero_si128();
  const __m128i lo = _mm_unpacklo_epi8(bytes, zero), hi = _mm_unpackhi_epi8(bytes, zero);
  return {{(simd::Ni)_mm_unpacklo_epi16(lo, zero), (simd::Ni)_mm_unpackhi_epi16(lo, zero)},
          {(simd::Ni)_mm_unpacklo_epi16(hi, zero), (simd::Ni)_mm_unpackhi_epi16(hi, zero)}};
#endif
}
// Sixteen signed bytes, saturated.
FLASHRT_SIMD void store_i8(std::int8_t* p, Vi v) {
#if defined(__AVX512F__)
  __m128i bytes = _mm512_cvtsepi32_epi8((__m512i)v);
#elif defined(__AVX2__)
  __m256i pairs = _mm256_permute4x64_epi64(_mm256_packs_epi32((__m256i)v.lo, (__m256i)v.hi), 0xd8);
  __m128i bytes = _mm_packs_epi16(_mm256_castsi256_si128(pairs), _mm256_extracti128_si256(pairs, 1));
#else
  __m128i lo = _mm_packs_epi32((__m128i)v.lo.lo, (__m128i)v.lo.hi);
  __m128i hi = _mm_packs_epi32((__m128i)v.hi.lo, (__m128i)v.hi.hi);
  __m128i bytes = _mm_packs_epi16(lo, hi);
#endif
  _mm_storeu_si128(reinterpret_cast<__m128i_u*>(p), bytes);
}

// Tails: the first n lanes, 0 <= n <= 16. Loads set the others to zero and read nothing past them.
template <class T>
FLASHRT_SIMD Vf load_first(const T* p, std::int64_t n) {
  T t[kLanes] = {};
  std::memcpy(t, p, static_cast<std::size_t>(n) * sizeof(T));
  return load(t);
}
template <class T>
FLASHRT_SIMD void store_first(T* p, Vf v, std::int64_t n) {
  T t[kLanes];
  store(t, v);
  std::memcpy(p, t, static_cast<std::size_t>(n) * sizeof(T));
}
FLASHRT_SIMD void store_i8_first(std::int8_t* p, Vi v, std::int64_t n) {
  std::int8_t t[kLanes];
  store_i8(t, v);
  std::memcpy(p, t, static_cast<std::size_t>(n));
}
#if defined(__AVX512F__)
FLASHRT_SIMD Vf load_first(const float* p, std::int64_t n) {
  return _mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << n) - 1), p);
}
FLASHRT_SIMD void store_first(float* p, Vf v, std::int64_t n) {
  _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1u << n) - 1), v);
}
#endif

// Which lanes a load or store touches, as an argument: code for whole vectors and for the tail is then one text.
struct All {};
struct First {
  std::int64_t n;
};
template <class T>
FLASHRT_SIMD Vf load(const T* p, All) {
  return load(p);
}
template <class T>
FLASHRT_SIMD Vf load(const T* p, First lanes) {
  return load_first(p, lanes.n);
}
template <class T>
FLASHRT_SIMD void store(T* p, Vf v, All) {
  store(p, v);
}
template <class T>
FLASHRT_SIMD void store(T* p, Vf v, First lanes) {
  store_first(p, v, lanes.n);
}
FLASHRT_SIMD void store_i8(std::int8_t* p, Vi v, All) { store_i8(p, v); }
FLASHRT_SIMD void store_i8(std::int8_t* p, Vi v, First lanes) { store_i8_first(p, v, lanes.n); }

// Lanes [0, n) set.
FLASHRT_SIMD Vi first_lanes(std::int64_t n) {
  static constexpr std::int32_t kIndex[kLanes] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  return load(kIndex) < splat(static_cast<std::int32_t>(n));
}

// v with zero in the lanes that are not touched.
FLASHRT_SIMD Vf keep_lanes(Vf v, All) { return v; }
FLASHRT_SIMD Vf keep_lanes(Vf v, First lanes) { return select(first_lanes(lanes.n), v, splat(0.0f)); }

FLASHRT_SIMD Vf abs(Vf v) { return as_float(as_int(v) & splat(0x7fffffff)); }
// a * b + c, fused where the row set has it.
FLASHRT_SIMD Vf fma(Vf a, Vf b, Vf c) { return a * b + c; }

FLASHRT_SIMD float sum(Vf v) { return simd::reduce(v, simd::Add{}); }
FLASHRT_SIMD float max(Vf v) { return simd::reduce(v, simd::Max{}); }
FLASHRT_SIMD std::int32_t sum(Vi v) {
  alignas(64) std::int32_t t[kLanes];
  store(t, v);
  std::int32_t s = 0;
  for (std::int32_t x : t) s += x;
  return s;
}

// e^x to 2 ulp; 0 below -87.3, and at most 2.4e38 (x is clamped at 88.37). NaN stays NaN.
FLASHRT_SIMD Vf exp(Vf x) {
  Vf clamped = min(splat(88.37f), max(splat(-87.33f), x));
  Vi n = round_to_int(clamped * splat(1.44269504f));
  Vf k = to_float(n);
  Vf r = clamped - k * splat(0.693359375f);  // ln 2 in two parts, the first exact in products with n
  r = r + k * splat(2.12194440e-4f);
  // (e^r - 1 - r) / r^2 on [-ln 2 / 2, ln 2 / 2], minimax of relative error 3e-9 in exact arithmetic.
  Vf p = splat(0.0013814540579915047f);
  p = p * r + splat(0.00836874544620514f);
  p = p * r + splat(0.04166838899254799f);
  p = p * r + splat(0.1666652113199234f);
  p = p * r + splat(0.4999999403953552f);
  p = p * (r * r) + r + splat(1.0f);
  Vf y = as_float(as_int(p) + (n << 23));
  return select(x < splat(-87.33f), splat(0.0f), y);
}
// x * sigmoid(x)
FLASHRT_SIMD Vf silu(Vf x) { return x / (splat(1.0f) + exp(-x)); }
// 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) = x * sigmoid(2 sqrt(2/pi) (x + 0.044715 x^3))
FLASHRT_SIMD Vf gelu_tanh(Vf x) {
  Vf inner = x * (splat(-1.5957691216f) + splat(-0.0713548162726f) * (x * x));
  return x / (splat(1.0f) + exp(inner));
}

}  // namespace flashrt::FLASHRT_ISA
