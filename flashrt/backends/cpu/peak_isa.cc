// SPDX-License-Identifier: Apache-2.0
#include "flashrt/backends/cpu/peak_isa.h"

#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace flashrt::FLASHRT_ISA {
namespace {

constexpr int kChains = 14;  // enough independent chains to hide the latency of every dot product

#if defined(__AVX512BF16__) && defined(__AVX512VNNI__)
using Vf = __m512;
using Vi = __m512i;
Vf fma(Vf a, Vf b, Vf c) { return _mm512_fmadd_ps(a, b, c); }
Vf dot_bf16(Vf acc, Vi a, Vi b) { return _mm512_dpbf16_ps(acc, (__m512bh)a, (__m512bh)b); }
Vi dot_i8(Vi acc, Vi a, Vi b) { return _mm512_dpbusd_epi32(acc, a, b); }
Vf zero_f() { return _mm512_setzero_ps(); }
Vi zero_i() { return _mm512_setzero_si512(); }
constexpr double kLanes = 16, kBf16Flops = 4, kI8Flops = 8;
#elif defined(__AVX2__)
// No bf16 or byte dot product here: bf16 runs as two widened FMAs, bytes as 16-bit multiply-adds.
using Vf = __m256;
using Vi = __m256i;
Vf fma(Vf a, Vf b, Vf c) { return _mm256_fmadd_ps(a, b, c); }
Vf dot_bf16(Vf acc, Vi a, Vi b) { return _mm256_fmadd_ps(_mm256_castsi256_ps(a), _mm256_castsi256_ps(b), acc); }
Vi dot_i8(Vi acc, Vi a, Vi b) { return _mm256_add_epi32(acc, _mm256_madd_epi16(a, b)); }
Vf zero_f() { return _mm256_setzero_ps(); }
Vi zero_i() { return _mm256_setzero_si256(); }
constexpr double kLanes = 8, kBf16Flops = 2, kI8Flops = 4;
#else
typedef float Vf __attribute__((vector_size(16)));
typedef int Vi __attribute__((vector_size(16)));
Vf fma(Vf a, Vf b, Vf c) { return a * b + c; }
Vf dot_bf16(Vf acc, Vi a, Vi b) { return fma((Vf)a, (Vf)b, acc); }
Vi dot_i8(Vi acc, Vi a, Vi b) { return acc + a * b; }
Vf zero_f() { return Vf{}; }
Vi zero_i() { return Vi{}; }
constexpr double kLanes = 4, kBf16Flops = 2, kI8Flops = 2;
#endif

// The constraint of a vector register: an empty asm that claims to change it keeps the chain and its register.
#if !defined(__AVX512F__)
#define FLASHRT_REGISTER "+x"
#else
#define FLASHRT_REGISTER "+v"
#endif

template <class V, class F>
void chains(std::int64_t rounds, V zero, float* sink, F step) {
  V acc[kChains];
#pragma GCC unroll 14  // here and below: a loop left over would keep the sums in memory
  for (V& v : acc) v = zero;
  V a = zero, b = zero;
  asm volatile("" : FLASHRT_REGISTER(a), FLASHRT_REGISTER(b));
  for (std::int64_t r = 0; r < rounds; ++r) {
#pragma GCC unroll 14
    for (int i = 0; i < kChains; ++i) acc[i] = step(acc[i], a, b);
#pragma GCC unroll 14
    for (int i = 0; i < kChains; ++i) asm volatile("" : FLASHRT_REGISTER(acc[i]));
  }
  V total = acc[0];
#pragma GCC unroll 14
  for (int i = 1; i < kChains; ++i) total = step(total, acc[i], b);
  __builtin_memcpy(sink, &total, sizeof(float));
}

}  // namespace

double peak_f32(std::int64_t rounds, float* sink) noexcept {
  chains(rounds, zero_f(), sink, [](Vf acc, Vf a, Vf b) { return fma(a, b, acc); });
  return static_cast<double>(rounds) * kChains * kLanes * 2;
}

double peak_bf16(std::int64_t rounds, float* sink) noexcept {
  Vf acc[kChains];
#pragma GCC unroll 14
  for (Vf& v : acc) v = zero_f();
  Vi a = zero_i(), b = zero_i();
  asm volatile("" : FLASHRT_REGISTER(a), FLASHRT_REGISTER(b));
  for (std::int64_t r = 0; r < rounds; ++r) {
#pragma GCC unroll 14
    for (int i = 0; i < kChains; ++i) acc[i] = dot_bf16(acc[i], a, b);
#pragma GCC unroll 14
    for (int i = 0; i < kChains; ++i) asm volatile("" : FLASHRT_REGISTER(acc[i]));
  }
  Vf total = acc[0];
#pragma GCC unroll 14
  for (int i = 1; i < kChains; ++i) total = total + acc[i];
  __builtin_memcpy(sink, &total, sizeof(float));
  return static_cast<double>(rounds) * kChains * kLanes * kBf16Flops;
}

double peak_i8(std::int64_t rounds, float* sink) noexcept {
  chains(rounds, zero_i(), sink, [](Vi acc, Vi a, Vi b) { return dot_i8(acc, a, b); });
  return static_cast<double>(rounds) * kChains * kLanes * kI8Flops;
}

}  // namespace flashrt::FLASHRT_ISA
