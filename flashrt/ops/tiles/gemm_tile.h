// SPDX-License-Identifier: Apache-2.0
// Register tiles of a matrix product on the CPU: some rows of a strided A times one packed panel, summed over K.
//
// A row of A advances 4 bytes and the panel 128 bytes a group of K (f32 1, bf16 2, i8 4 elements), whatever the type. A
// tile keeps its sums in registers for the whole depth: AVX-512 14 rows x 32 columns (28 sums, 2 vectors of B, 1 of A),
// so that each group costs 28 multiply instructions, 2 loads of B and 14 broadcasts of A; the smaller register files
// take 6 or 4 rows x 2 vectors. Sums of one element are formed in the order of K, whatever the rows beside it.
//
// i8: the panel holds w + 128 unsigned, A is signed; the result is the i32 sum of a * (w + 128).
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "flashrt/core/dtype.h"
#include "flashrt/core/packed_rhs.h"
#include "flashrt/ops/simd.h"

namespace flashrt::FLASHRT_ISA {

inline constexpr int kGroupBytes = 128;  // one group of K of one panel

template <DType T>
using TileSum = std::conditional_t<T == DType::i8, std::int32_t, float>;

// What a tile multiplies and where the sums go.
struct TileArgs {
  const std::byte* a = nullptr;  // first row of A, at the first k
  std::int64_t a_pitch = 0;      // bytes between rows of A
  const std::byte* b = nullptr;  // the panel, at the first k (a multiple of the group) and column
  std::int64_t depth = 0;        // elements of K; the panel is zero (i8: 128) beyond it up to a whole group
  void* c = nullptr;             // TileSum[rows][c_pitch]
  std::int64_t c_pitch = 0;      // elements between rows of c
  bool accumulate = false;       // c += instead of c =
  // Memory to bring into L2 meanwhile, a quarter as many bytes as the tile reads of the panel; null: none.
  const std::byte* prefetch = nullptr;
};

namespace tile {

using simd::kRegister;
using simd::kRegisterLanes;
using simd::Nf;
using simd::Ni;
using simd::Nu;

template <class V>
FLASHRT_SIMD V load(const void* p) {
  V v;
  std::memcpy(&v, p, sizeof(v));
  return v;
}

// Four bytes of a row of A, at any address.
typedef std::uint32_t Word __attribute__((aligned(1), may_alias));

// Operand<T>: a vector of the panel (Rhs), a broadcast group of A (Lhs) and the multiply-add of both into a sum.
template <DType T>
struct Operand;

#if defined(FLASHRT_ISA_AVX512)

// A multiply with a broadcast memory operand: no register for A, whose renaming would cost a third of the lookahead.
// Compilers emit it for none of these.
#define FLASHRT_TILE_MADD(instruction) asm(instruction " %2%{1to16%}, %1, %0" : "+v"(s) : "v"(b), "m"(*a))

template <>
struct Operand<DType::f32> {
  using Sum = Nf;
  using Rhs = Nf;
  static constexpr int kRows = 14;
  FLASHRT_SIMD static Rhs rhs(const std::byte* p) { return load<Nf>(p); }
  FLASHRT_SIMD static const Word* lhs(const std::byte* p) { return reinterpret_cast<const Word*>(p); }
  FLASHRT_SIMD static Sum madd(Sum s, const Rhs& b, const Word* a) {
    FLASHRT_TILE_MADD("vfmadd231ps");
    return s;
  }
};

template <>
struct Operand<DType::bf16> : Operand<DType::f32> {
  FLASHRT_SIMD static Sum madd(Sum s, const Rhs& b, const Word* a) {
    FLASHRT_TILE_MADD("vdpbf16ps");
    return s;
  }
};

template <>
struct Operand<DType::i8> : Operand<DType::f32> {
  using Sum = Ni;
  FLASHRT_SIMD static Sum madd(Sum s, const Rhs& b, const Word* a) {
    FLASHRT_TILE_MADD("vpdpbusd");
    return s;
  }
};

#undef FLASHRT_TILE_MADD

#else

FLASHRT_SIMD std::uint32_t load_u32(const std::byte* p) {
  std::uint32_t u;
  std::memcpy(&u, p, 4);
  return u;
}

template <>
struct Operand<DType::f32> {
  using Sum = Nf;
  using Rhs = Nf;
  using Lhs = Nf;
  static constexpr int kRows = kRegister == 32 ? 6 : 4;
  FLASHRT_SIMD static Rhs rhs(const std::byte* p) { return load<Nf>(p); }
  FLASHRT_SIMD static Lhs lhs(const std::byte* p) { return Nf{} + std::bit_cast<float>(load_u32(p)); }
  FLASHRT_SIMD static Sum madd(Sum s, const Rhs& b, const Lhs& a) { return s + a * b; }
};

// A pair of bf16 widened to two f32: the even element of the group and the odd one.
struct BfPair {
  Nf even, odd;
};
template <>
struct Operand<DType::bf16> {
  using Sum = Nf;
  using Rhs = BfPair;
  using Lhs = BfPair;
  static constexpr int kRows = 4;
  [[gnu::always_inline]] static BfPair widen(Nu u) { return {(Nf)(u << 16), (Nf)(u & 0xffff0000u)}; }
  [[gnu::always_inline]] static Rhs rhs(const std::byte* p) { return widen(load<Nu>(p)); }
  [[gnu::always_inline]] static Lhs lhs(const std::byte* p) {
    const std::uint32_t u = load_u32(p);
    return {Nf{} + std::bit_cast<float>(u << 16), Nf{} + std::bit_cast<float>(u & 0xffff0000u)};
  }
  [[gnu::always_inline]] static Sum madd(Sum s, const Rhs& b, const Lhs& a) {
    return s + a.even * b.even + a.odd * b.odd;
  }
};

// Four 8-bit integers widened to two pairs of 16 bits, elements 0 and 2 and elements 1 and 3: unlike the 8-bit
// multiply-add, the 16-bit one cannot saturate.
typedef std::int16_t TileH __attribute__((vector_size(kRegister)));
struct HalfPairs {
  TileH even, odd;
};
FLASHRT_SIMD Ni madd_pairs(TileH a, TileH b) {
#if defined(FLASHRT_ISA_AVX2)
  return (Ni)_mm256_madd_epi16((__m256i)a, (__m256i)b);
#else
  return (Ni)_mm_madd_epi16((__m128i)a, (__m128i)b);
#endif
}
template <>
struct Operand<DType::i8> {
  using Sum = Ni;
  using Rhs = HalfPairs;
  using Lhs = HalfPairs;
  static constexpr int kRows = 4;
  [[gnu::always_inline]] static Rhs rhs(const std::byte* p) {
    Nu u = load<Nu>(p);
    return {(TileH)(u & 0x00ff00ffu), (TileH)((u >> 8) & 0x00ff00ffu)};
  }
  [[gnu::always_inline]] static Lhs lhs(const std::byte* p) {
    TileH h = (TileH)(Nu{} + load_u32(p));
    return {(TileH)(h << 8) >> 8, h >> 8};
  }
  [[gnu::always_inline]] static Sum madd(Sum s, const Rhs& b, const Lhs& a) {
    return s + madd_pairs(a.even, b.even) + madd_pairs(a.odd, b.odd);
  }
};

#endif

// R rows x V vectors. Rows are addressed from every third one, which x86 can without a register a row.
template <DType T, int R, int V>
[[gnu::noinline]] void multiply(const TileArgs& t) noexcept {
  using Op = Operand<T>;
  using Sum = typename Op::Sum;
  constexpr int kBases = (R + 2) / 3, kUnroll = 4, kGroup = 4 / (bits(T) / 8);
  Sum sum[R][V];
  auto* c = static_cast<TileSum<T>*>(t.c);
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) sum[r][v] = t.accumulate ? load<Sum>(c + r * t.c_pitch + v * kRegisterLanes) : Sum{};

  const std::byte* base[kBases];
  for (int i = 0; i < kBases; ++i) base[i] = t.a + 3 * i * t.a_pitch;
  const std::int64_t pitch = t.a_pitch;
  const std::byte* b = t.b;
  const std::byte* prefetch = t.prefetch ? t.prefetch : static_cast<const std::byte*>(t.c);
  const std::int64_t prefetch_step = t.prefetch ? kUnroll * kGroupBytes / 4 : 0;

  auto step = [&](int g) __attribute__((always_inline)) {
    typename Op::Rhs rhs[V];
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) rhs[v] = Op::rhs(b + g * kGroupBytes + v * kRegister);
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      const auto lhs = Op::lhs(base[r / 3] + r % 3 * pitch + 4 * g);
#pragma GCC unroll 2
      for (int v = 0; v < V; ++v) sum[r][v] = Op::madd(sum[r][v], rhs[v], lhs);
    }
  };

  std::int64_t groups = t.depth / kGroup;
  for (; groups >= kUnroll; groups -= kUnroll) {
#pragma GCC unroll 4
    for (int g = 0; g < kUnroll; ++g) step(g);
    _mm_prefetch(reinterpret_cast<const char*>(prefetch), _MM_HINT_T1);
    _mm_prefetch(reinterpret_cast<const char*>(prefetch + 64), _MM_HINT_T1);
    prefetch += prefetch_step;
    b += kUnroll * kGroupBytes;
    for (int i = 0; i < kBases; ++i) base[i] += 4 * kUnroll;
  }
  for (; groups > 0; --groups) {
    step(0);
    b += kGroupBytes;
    for (int i = 0; i < kBases; ++i) base[i] += 4;
  }
  if constexpr (kGroup > 1) {
    if (std::int64_t rest = t.depth % kGroup) {
      // What lies behind a row of A may be another view or unmapped.
      typename Op::Rhs rhs[V];
      for (int v = 0; v < V; ++v) rhs[v] = Op::rhs(b + v * kRegister);
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r) {
        std::byte group[4] = {};
        const std::byte* p = base[r / 3] + r % 3 * pitch;
        for (std::int64_t i = 0; i < rest * (4 / kGroup); ++i) group[i] = p[i];
        const auto lhs = Op::lhs(group);
#pragma GCC unroll 2
        for (int v = 0; v < V; ++v) sum[r][v] = Op::madd(sum[r][v], rhs[v], lhs);
      }
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) std::memcpy(c + r * t.c_pitch + v * kRegisterLanes, &sum[r][v], sizeof(Sum));
}

template <DType T, int V, int R = 1>
FLASHRT_SIMD void dispatch(int rows, const TileArgs& t) noexcept {
  if constexpr (R < Operand<T>::kRows) {
    if (rows != R) return dispatch<T, V, R + 1>(rows, t);
  }
  multiply<T, R, V>(t);
}

}  // namespace tile

// The most rows that stay in registers at once; row counts just above a multiple of it are the costly ones.
template <DType T>
inline constexpr int kTileRows = tile::Operand<T>::kRows;

// c[m][n] (+)= sum_k a[m][k] * b[n][k] for m < rows (any number) and n < columns. `columns` is rounded up to 16; c must
// have room for that. b may point at column 16 of a panel when columns <= 16.
template <DType T>
void multiply_tile(std::int64_t rows, std::int64_t columns, const TileArgs& args) noexcept {
  constexpr int kColumns = 2 * simd::kRegisterLanes;
  const std::int64_t blocks = (rows + kTileRows<T> - 1) / kTileRows<T>;
  const std::int64_t width = columns > 16 ? 32 : 16;
  TileArgs t = args;
  for (std::int64_t i = 0, first = 0; i < blocks; ++i) {
    const int count = static_cast<int>(rows / blocks + (i < rows % blocks));
    for (std::int64_t n = 0; n < width; n += kColumns) {
      t.a = args.a + first * args.a_pitch;
      t.b = args.b + n * (kGroupBytes / kPanel);
      t.c = static_cast<TileSum<T>*>(args.c) + first * args.c_pitch + n;
      if (simd::kRegisterLanes == 16 && width == 16)
        tile::dispatch<T, 1>(count, t);
      else
        tile::dispatch<T, 2>(count, t);
      t.prefetch = nullptr;
    }
    first += count;
  }
}

}  // namespace flashrt::FLASHRT_ISA
