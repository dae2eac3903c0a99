// SPDX-License-Identifier: Apache-2.0
// Register tiles of a matrix product on the CPU: some rows of a strided A times one packed panel, summed over K.
//
// A row of A advances 4 bytes and the panel 128 bytes a group of K (f32 1, bf16 2, i8 4 elements), whatever the type. A
// tile keeps its sums in registers for the whole depth: AVX-512 14 rows x 32 columns (28 sums, 2 vectors of B, 1 of A),
// so that each group costs 28 multiply instructions, 2 loads of B and 18 broadcasts of A; the smaller register files
// take 6 or 4 rows x 2 vectors. Sums of one element are formed in the order of K, whatever the rows beside it.
//
// i8: the panel holds w + 128 unsigned, A is signed; the result is the i32 sum of a * (w + 128).
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

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
  // Memory to bring into cache meanwhile, every four groups a little so that the requests do not block the tile's own:
  // 128 bytes from each of `rows_wanted` places `row_pitch` bytes apart, and from `coming` on (null: nothing) as much
  // as the `coming_share`-th part (1, 2 or 4) of what the tile reads of the panel.
  const std::byte* row_wanted = nullptr;
  std::int64_t rows_wanted = 0, row_pitch = 0;
  const std::byte* coming = nullptr;
  std::int64_t coming_share = 4;
};

namespace tile {

using simd::kRegister;
using simd::Nf;
using simd::Ni;
typedef std::uint32_t Nu __attribute__((vector_size(kRegister)));
inline constexpr int kRegisterLanes = kRegister / 4;

template <class V>
FLASHRT_SIMD V load(const void* p) {
  V v;
  std::memcpy(&v, p, sizeof(v));
  return v;
}

// Operand<T>: how a vector of the panel (Rhs) and a group of a row of A make a sum. row<Third, Offset>() does so for
// the V vectors of one row, whose group lies at base + Third * pitch + Offset.
template <DType T>
struct Operand;

#if defined(FLASHRT_ISA_AVX512)

// Tells the compiler that an instruction reads memory from an address on.
struct Bytes {
  std::byte unknown[1 << 20];
};

// An instruction with an output and an input that reads four bytes of a row of A, the address spelled out: compilers
// run out of address registers.
#define FLASHRT_TILE_READ(before, after, output, input)                                                              \
  do {                                                                                                               \
    const auto* all = reinterpret_cast<const Bytes*>(base);                                                          \
    if constexpr (Third == 0)                                                                                        \
      asm(before "%c[at](%[base])" after : [to] output : [by] input, [base] "r"(base), [at] "i"(Offset), "m"(*all)); \
    else                                                                                                             \
      asm(before "%c[at](%[base],%[pitch],%c[third])" after                                                          \
          : [to] output                                                                                              \
          : [by] input, [base] "r"(base), [pitch] "r"(pitch), [third] "i"(Third), [at] "i"(Offset), "m"(*all));      \
  } while (false)

// Two rows of three are broadcast into a register, which serves both vectors; the third is a broadcast memory operand
// of each multiply. All as operands, 30 loads a group are more than a core of two loads and two multiplies a cycle
// makes in the time of 28 multiplies: 88 % of its peak, against 98 % with 20 loads. All in registers, renaming costs
// lookahead.
#define FLASHRT_TILE_OPERAND(type, sum_type, instruction)                                            \
  template <>                                                                                        \
  struct Operand<type> {                                                                             \
    using Sum = sum_type;                                                                            \
    using Rhs = Nf;                                                                                  \
    static constexpr int kRows = 14;                                                                 \
    FLASHRT_SIMD static Rhs rhs(const std::byte* p) { return load<Nf>(p); }                          \
    template <int Third, int Offset, int V>                                                          \
    FLASHRT_SIMD static void row(Sum* s, const Rhs* b, const std::byte* base, std::int64_t pitch) {  \
      if constexpr (V > 1 && Third < 2) {                                                            \
        Nf a;                                                                                        \
        FLASHRT_TILE_READ("vbroadcastss ", ", %[to]", "=v"(a), "i"(0));                              \
        for (int v = 0; v < V; ++v) asm(instruction " %2, %1, %0" : "+v"(s[v]) : "v"(b[v]), "v"(a)); \
      } else {                                                                                       \
        for (int v = 0; v < V; ++v)                                                                  \
          FLASHRT_TILE_READ(instruction " ", "%{1to16%}, %[by], %[to]", "+v"(s[v]), "v"(b[v]));      \
      }                                                                                              \
    }                                                                                                \
  };

FLASHRT_TILE_OPERAND(DType::f32, Nf, "vfmadd231ps")
FLASHRT_TILE_OPERAND(DType::bf16, Nf, "vdpbf16ps")
FLASHRT_TILE_OPERAND(DType::i8, Ni, "vpdpbusd")
#undef FLASHRT_TILE_OPERAND
#undef FLASHRT_TILE_READ

#else

FLASHRT_SIMD std::uint32_t load_u32(const std::byte* p) {
  std::uint32_t u;
  std::memcpy(&u, p, 4);
  return u;
}

// Row by row in terms of lhs() and madd().
template <class Op>
struct Rows {
  template <int Third, int Offset, int V, class Sum, class Rhs>
  FLASHRT_SIMD static void row(Sum* s, const Rhs* b, const std::byte* base, std::int64_t pitch) {
    const auto a = Op::lhs(base + Third * pitch + Offset);
    for (int v = 0; v < V; ++v) s[v] = Op::madd(s[v], b[v], a);
  }
};

template <>
struct Operand<DType::f32> : Rows<Operand<DType::f32>> {
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
struct Operand<DType::bf16> : Rows<Operand<DType::bf16>> {
  using Sum = Nf;
  using Rhs = BfPair;
  using Lhs = BfPair;
  static constexpr int kRows = 4;
  FLASHRT_SIMD static BfPair widen(Nu u) { return {(Nf)(u << 16), (Nf)(u & 0xffff0000u)}; }
  FLASHRT_SIMD static Rhs rhs(const std::byte* p) { return widen(load<Nu>(p)); }
  FLASHRT_SIMD static Lhs lhs(const std::byte* p) {
    const std::uint32_t u = load_u32(p);
    return {Nf{} + std::bit_cast<float>(u << 16), Nf{} + std::bit_cast<float>(u & 0xffff0000u)};
  }
  FLASHRT_SIMD static Sum madd(Sum s, const Rhs& b, const Lhs& a) { return s + a.even * b.even + a.odd * b.odd; }
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
struct Operand<DType::i8> : Rows<Operand<DType::i8>> {
  using Sum = Ni;
  using Rhs = HalfPairs;
  using Lhs = HalfPairs;
  static constexpr int kRows = 4;
  FLASHRT_SIMD static Rhs rhs(const std::byte* p) {
    Nu u = load<Nu>(p);
    return {(TileH)(u & 0x00ff00ffu), (TileH)((u >> 8) & 0x00ff00ffu)};
  }
  FLASHRT_SIMD static Lhs lhs(const std::byte* p) {
    TileH h = (TileH)(Nu{} + load_u32(p));
    return {(TileH)(h << 8) >> 8, h >> 8};
  }
  FLASHRT_SIMD static Sum madd(Sum s, const Rhs& b, const Lhs& a) {
    return s + madd_pairs(a.even, b.even) + madd_pairs(a.odd, b.odd);
  }
};

#endif

// Pointers in integer registers: g++ would add them as a vector and so lose a sum to memory.
template <int N>
FLASHRT_SIMD void advance(const std::byte** base, int bytes) {
#pragma GCC unroll 5
  for (int i = 0; i < N; ++i) {
    base[i] += bytes;
    asm volatile("" : "+r"(base[i]) : : "memory");
  }
}

FLASHRT_SIMD void prefetch_pair(const std::byte* p) {
  _mm_prefetch(reinterpret_cast<const char*>(p), _MM_HINT_T0);
  _mm_prefetch(reinterpret_cast<const char*>(p + 64), _MM_HINT_T0);
}

// Group G after `base` and `b`, for all rows.
template <class Op, int G, int V, int... R>
FLASHRT_SIMD void multiply_group(typename Op::Sum (&sum)[sizeof...(R)][V], const std::byte* const* base,
                                 std::int64_t pitch, const std::byte* b, std::integer_sequence<int, R...>) {
  typename Op::Rhs rhs[V];
  for (int v = 0; v < V; ++v) rhs[v] = Op::rhs(b + G * kGroupBytes + v * kRegister);
  (Op::template row<R % 3, 4 * G, V>(sum[R], rhs, base[R / 3], pitch), ...);
}

// R rows x V vectors. Rows are addressed from every third one, as x86 can: base, base + pitch, base + 2 pitch.
template <DType T, int R, int V>
[[gnu::noinline]] void multiply(const TileArgs& t) noexcept {
  using Op = Operand<T>;
  using Sum = typename Op::Sum;
  constexpr int kBases = (R + 2) / 3, kUnroll = 4, kGroup = 4 / (bits(T) / 8);
  constexpr std::make_integer_sequence<int, R> kAll{};
  Sum sum[R][V];
  auto* c = static_cast<TileSum<T>*>(t.c);
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) sum[r][v] = t.accumulate ? load<Sum>(c + r * t.c_pitch + v * kRegisterLanes) : Sum{};

  const std::int64_t pitch = t.a_pitch;
  const std::byte* base[kBases];
  for (int i = 0; i < kBases; ++i) base[i] = t.a + 3 * i * pitch;
  const std::byte* b = t.b;
  // Where nothing is wanted, lines that are here anyway are asked for.
  const std::byte* coming = t.coming ? t.coming : b;
  const std::int64_t coming_step = t.coming ? kUnroll * kGroupBytes / t.coming_share : 0;
  const std::byte* wanted = t.rows_wanted ? t.row_wanted : b;
  std::int64_t rows_wanted = t.rows_wanted;

  std::int64_t groups = t.depth / kGroup;
  for (; groups >= kUnroll; groups -= kUnroll) {
    multiply_group<Op, 0, V>(sum, base, pitch, b, kAll);
    multiply_group<Op, 1, V>(sum, base, pitch, b, kAll);
    multiply_group<Op, 2, V>(sum, base, pitch, b, kAll);
    multiply_group<Op, 3, V>(sum, base, pitch, b, kAll);
    for (int i = 0; i < kUnroll * kGroupBytes; i += 128)
      prefetch_pair(coming + i);  // the step, or lines asked for again
    coming += coming_step;
    prefetch_pair(wanted);
    if (--rows_wanted > 0)
      wanted += t.row_pitch;
    else
      wanted = b;
    b += kUnroll * kGroupBytes;
    advance<kBases>(base, 4 * kUnroll);
  }
  for (; groups > 0; --groups) {
    multiply_group<Op, 0, V>(sum, base, pitch, b, kAll);
    b += kGroupBytes;
    advance<kBases>(base, 4);
  }
  if constexpr (kGroup > 1) {
    if (std::int64_t rest = t.depth % kGroup) {
      // What lies behind a row of A may be another view or unmapped.
      std::byte last[3 * kBases][4] = {};
      for (int r = 0; r < R; ++r)
        for (std::int64_t i = 0; i < rest * (4 / kGroup); ++i) last[r][i] = (base[r / 3] + r % 3 * pitch)[i];
      for (int i = 0; i < kBases; ++i) base[i] = last[3 * i];
      advance<kBases>(base, 0);  // the compiler must not know how short they are
      multiply_group<Op, 0, V>(sum, base, 4, b, kAll);
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
  constexpr int kColumns = 2 * tile::kRegisterLanes;
  const std::int64_t blocks = (rows + kTileRows<T> - 1) / kTileRows<T>;
  const std::int64_t width = columns > 16 ? 32 : 16;
  TileArgs t = args;
  for (std::int64_t i = 0, first = 0; i < blocks; ++i) {
    const int count = static_cast<int>(rows / blocks + (i < rows % blocks));
    for (std::int64_t n = 0; n < width; n += kColumns) {
      t.a = args.a + first * args.a_pitch;
      t.b = args.b + n * (kGroupBytes / kPanel);
      t.c = static_cast<TileSum<T>*>(args.c) + first * args.c_pitch + n;
      if (tile::kRegisterLanes == 16 && width == 16)
        tile::dispatch<T, 1>(count, t);
      else
        tile::dispatch<T, 2>(count, t);
      t.rows_wanted = 0, t.coming = nullptr;
    }
    first += count;
  }
}

}  // namespace flashrt::FLASHRT_ISA
