// SPDX-License-Identifier: Apache-2.0
// Attention on the CPU: a few rows at a time against all keys, both products as register tiles over the packed caches.
//
// Idea: query heads that share a key head are rows of one matrix (row t, head j -> row t * H/G + j), so MQA is two
// plain matrix products. A unit is one register tile of rows (AVX-512: 14): S = q K^T into scratch, softmax in place (P
// takes the first bytes of its own row of S), O = P V in scratch, then y = O / sum. A key head's K and V are read from
// L2 once a unit: at hd 256 that is 4.6 bytes a cycle.
//
// Bound: multiply-adds, 2 * hd a score. The softmax adds about 10 cycles per 16 scores to their hd (bf16): 12 % at hd
// 72, where also the last 8 columns of V cost as much as 16. Best measured share of the bf16 peak (bench/attention),
// one and two Zen 4 cores: 4224 rows of hd 256 over 528 keys 89 and 88 %, 400 rows over 578 90 and 86 %, 32 times 256
// rows of hd 72 over 256 71 and 71 %.
//
// Keys that do not exist cost nothing in whole vectors of 16; inside a vector their probability is 0, and a pair of
// keys of which only one exists is multiplied from a copy whose other half is zero. Nothing in a masked cache row, NaN
// included, can reach y.
#include <cstring>
#include <type_traits>

#include "flashrt/core/packed_rhs.h"
#include "flashrt/ops/attention/attention.h"
#include "flashrt/ops/cpu_rows.h"
#include "flashrt/ops/simd.h"
#include "flashrt/ops/tiles/gemm_tile.h"

namespace flashrt::FLASHRT_ISA {
namespace {

template <DType T>
using Stored = std::conditional_t<T == DType::f32, float, Bf16>;

// How the rows are cut, and where a worker's scratch holds what.
struct Plan {
  std::int64_t hd, group, rows, blocks;    // rows of one (block, key head)
  std::int64_t tile, tiles;                // most rows of a unit; units of one (block, key head)
  std::int64_t q_pitch, s_pitch, o_pitch;  // bytes
  std::int64_t s_at, o_at, bytes;
};

// A pitch of an odd number of cache lines spreads the rows of a tile over all sets.
constexpr std::int64_t spread(std::int64_t bytes) noexcept { return (round_up(bytes, 64) / 64 | 1) * 64; }

Plan plan(const Attention& op) noexcept {
  Plan l;
  l.hd = op.q.dim(1) / op.heads;
  l.group = op.heads / op.kv_heads;
  l.blocks = op.block ? op.q.dim(0) / op.block : 1;
  l.rows = op.q.dim(0) / l.blocks * l.group;
  l.tile = op.q.dtype == DType::f32 ? kTileRows<DType::f32> : kTileRows<DType::bf16>;
  l.tiles = (l.rows + l.tile - 1) / l.tile;
  l.q_pitch = spread(l.hd * bits(op.q.dtype) / 8);
  l.s_pitch = spread(round_up(op.keys, kLanes) * 4);
  l.o_pitch = spread(round_up(l.hd, kLanes) * 4);
  l.s_at = l.tile * l.q_pitch;
  l.o_at = l.s_at + l.tile * l.s_pitch;
  l.bytes = l.o_at + l.tile * l.o_pitch;
  return l;
}

// Which keys exist: [0, valid) and [prefix, keys), or [0, keys) when nothing lies between.
struct Visible {
  std::int64_t first[2], last[2];      // keys
  std::int64_t vector[2], vectors[2];  // vectors of 16 keys that hold any: [vector, vectors)
  int spans = 0;
  std::int64_t edge[3];  // vectors of which only some keys exist
  int edges = 0;

  explicit Visible(const Attention& op) noexcept {
    std::int64_t valid = op.prefix;
    if (op.valid) valid = *op.valid < 0 ? 0 : *op.valid < op.prefix ? *op.valid : op.prefix;
    if (valid == op.prefix)
      add(0, op.keys);
    else
      add(0, valid), add(op.prefix, op.keys);
  }
  bool has(std::int64_t key) const noexcept {
    return (spans > 0 && key >= first[0] && key < last[0]) || (spans > 1 && key >= first[1] && key < last[1]);
  }

 private:
  void add(std::int64_t from, std::int64_t to) noexcept {
    if (from >= to) return;
    first[spans] = from, last[spans] = to;
    vector[spans] = from / kLanes, vectors[spans] = (to + kLanes - 1) / kLanes;
    if (spans > 0 && vector[1] < vectors[0]) vector[1] = vectors[0];
    ++spans;
    if (from % kLanes) add_edge(from / kLanes);
    if (to % kLanes) add_edge(to / kLanes);
  }
  void add_edge(std::int64_t v) noexcept {
    if (edges == 0 || edge[edges - 1] != v) edge[edges++] = v;
  }
};

// 2^x for x <= 0, times 2^-125 at least; NaN stays NaN. Relative error 3.6e-6 for probabilities that are rounded to
// bf16, 3e-9 (before rounding) for f32. 2^x = 2^n (1 + r q(r)), n = round(x), minimax q on [-1/2, 1/2].
template <DType T>
FLASHRT_SIMD Vf exp2_negative(Vf x) {
  x = max(splat(-125.0f), x);
  // Adding 1.5 * 2^23 rounds to an integer; 127 more is the exponent's bias, so that the low bits are 2^n shifted.
  const Vf biased = x + splat(12582912.0f + 127.0f);
  const Vf r = x - (biased - splat(12582912.0f + 127.0f));
  Vf q;
  if constexpr (T == DType::bf16) {
    q = splat(0.009782912f);
    q = q * r + splat(0.055976884f);
    q = q * r + splat(0.24020711f);
    q = q * r + splat(0.6931136f);
  } else {
    q = splat(0.00015594678f);
    q = q * r + splat(0.0013406644f);
    q = q * r + splat(0.009617693f);
    q = q * r + splat(0.055503106f);
    q = q * r + splat(0.24022653f);
    q = q * r + splat(0.6931472f);
  }
  return (q * r + splat(1.0f)) * as_float(as_int(biased) << 23);
}

// Lanes of vector v whose keys exist.
FLASHRT_SIMD Vi visible_lanes(const Visible& keys, std::int64_t v) {
  alignas(64) std::int32_t lane[kLanes];
  for (int i = 0; i < kLanes; ++i) lane[i] = keys.has(v * kLanes + i) ? -1 : 0;
  return load(lane);
}

// The largest score of a row whose keys exist; the others become -infinity.
float largest(float* s, const Visible& keys) noexcept {
  const Vf lowest = splat(-__builtin_inff());
  for (int e = 0; e < keys.edges; ++e) {
    float* at = s + keys.edge[e] * kLanes;
    store(at, select(visible_lanes(keys, keys.edge[e]), load(at), lowest));
  }
  Vf top[4] = {lowest, lowest, lowest, lowest};
  for (int i = 0; i < keys.spans; ++i) {
    std::int64_t v = keys.vector[i];
    for (; v + 4 <= keys.vectors[i]; v += 4)
#pragma GCC unroll 4
      for (int j = 0; j < 4; ++j) top[j] = max(top[j], load(s + (v + j) * kLanes));
    for (; v < keys.vectors[i]; ++v) top[0] = max(top[0], load(s + v * kLanes));
  }
  return max(max(max(top[0], top[1]), max(top[2], top[3])));
}

// Scores of one row to exp(score - top), unnormalised, in place; returns their sum.
template <DType T>
float exponentiate(std::byte* row, float top, const Visible& keys) noexcept {
  constexpr float kLog2e = 1.44269504088896f;
  const float* s = reinterpret_cast<const float*>(row);
  auto* p = reinterpret_cast<Stored<T>*>(row);
  const Vf shift = splat(-kLog2e * top);
  Vf sums[2] = {splat(0.0f), splat(0.0f)};
  for (int i = 0; i < keys.spans; ++i) {
    std::int64_t v = keys.vector[i];
    for (; v + 2 <= keys.vectors[i]; v += 2) {
      const Vf a = exp2_negative<T>(load(s + v * kLanes) * splat(kLog2e) + shift);
      const Vf b = exp2_negative<T>(load(s + (v + 1) * kLanes) * splat(kLog2e) + shift);
      sums[0] += a, sums[1] += b;
      store(p + v * kLanes, a), store(p + (v + 1) * kLanes, b);
    }
    if (v < keys.vectors[i]) {
      const Vf a = exp2_negative<T>(load(s + v * kLanes) * splat(kLog2e) + shift);
      sums[0] += a;
      store(p + v * kLanes, a);
    }
  }
  for (int e = 0; e < keys.edges; ++e) {
    Stored<T>* at = p + keys.edge[e] * kLanes;
    store(at, select(visible_lanes(keys, keys.edge[e]), load(at), splat(0.0f)));
  }
  return sum(sums[0] + sums[1]);
}

// The register tile of a row count, chosen once a unit: at hd 72 a choice for every panel would cost 5 % of the
// product.
template <DType T>
struct Tile {
  using Multiply = void (*)(const TileArgs&) noexcept;
  static constexpr int kColumns = 2 * simd::kRegisterLanes;
  Multiply two, one;  // vectors wide

  explicit Tile(std::int64_t rows) noexcept : two(choose<2>(rows)), one(choose<1>(rows)) {}

  // 16 or 32 columns.
  void operator()(std::int64_t columns, TileArgs t) const noexcept {
    if (columns < kColumns) return one(t);
    for (; columns > 0; columns -= kColumns) {
      two(t);
      t.b += kColumns * (kGroupBytes / kPanel);
      t.c = static_cast<float*>(t.c) + kColumns;
    }
  }

 private:
  template <int V, int R = kTileRows<T>>
  static Multiply choose(std::int64_t rows) noexcept {
    if constexpr (R > 1) {
      if (rows < R) return choose<V, R - 1>(rows);
    }
    return tile::multiply<T, R, V>;
  }
};

// S = q K^T for the vectors of keys that hold any that exist, two at a time where both lie in one panel.
template <DType T>
void scores(const Plan& l, const Tile<T>& tile, std::byte* scratch, const std::byte* k, const Visible& keys) noexcept {
  TileArgs t;
  t.a = scratch, t.a_pitch = l.q_pitch, t.c_pitch = l.s_pitch / 4, t.depth = l.hd;
  for (int i = 0; i < keys.spans; ++i) {
    for (std::int64_t v = keys.vector[i]; v < keys.vectors[i];) {
      const int wide = v % 2 == 0 && v + 1 < keys.vectors[i] ? 2 : 1;
      t.b = k + v / 2 * bytes_for(T, packed_panel(T, l.hd)) + v % 2 * kGroupBytes / 2;
      t.c = scratch + l.s_at + v * kLanes * 4;
      tile(wide * kLanes, t);
      v += wide;
    }
  }
}

// O = P V, panel by panel of the head's width, over the spans of keys that exist.
template <DType T>
void values(const Plan& l, const Tile<T>& tile, std::byte* scratch, const std::byte* v, std::int64_t S,
            const Visible& keys) noexcept {
  constexpr std::int64_t g = packed_group(T), element = bits(T) / 8;
  for (std::int64_t n = 0; n < l.hd; n += kPanel) {
    const std::byte* panel = v + n / kPanel * bytes_for(T, packed_panel(T, S));
    TileArgs t;
    t.a_pitch = l.s_pitch, t.c_pitch = l.o_pitch / 4;
    t.c = scratch + l.o_at + n * 4;
    auto multiply = [&](std::int64_t key, std::int64_t depth, const std::byte* b) noexcept {
      t.a = scratch + l.s_at + key * element, t.b = b, t.depth = depth;
      tile(l.hd - n > kLanes ? kPanel : kLanes, t);
      t.accumulate = true;
    };
    // The group of key `at` with the half that does not exist cleared: 0 * NaN would be NaN.
    auto multiply_half = [&](std::int64_t at, std::uint32_t mask) noexcept {
      alignas(64) std::uint32_t copy[kGroupBytes / 4];
      std::memcpy(copy, panel + at / g * kGroupBytes, sizeof(copy));
      for (std::uint32_t& pair : copy) pair &= mask;
      multiply(at / g * g, g, reinterpret_cast<const std::byte*>(copy));
    };
    for (int i = 0; i < keys.spans; ++i) {
      std::int64_t first = keys.first[i], last = keys.last[i];
      if (first % g) multiply_half(first++, 0xffff0000u);
      if (last % g) multiply_half(--last, 0x0000ffffu);
      if (first < last) multiply(first, last - first, panel + first / g * kGroupBytes);
    }
  }
}

// y of one flat row: O / sum.
template <DType T, class Y>
void finish(const float* o, float sum, std::int64_t hd, Y* y) noexcept {
  const Vf scale = splat(1 / sum);
  if (hd < kLanes) return store_first(y, load(o) * scale, hd);
  for (std::int64_t i = 0; i + kLanes <= hd; i += kLanes) store(y + i, load(o + i) * scale);
  store(y + hd - kLanes, load(o + hd - kLanes) * scale);  // again some of the last: cheaper than a tail
}

// A head is a multiple of 4 bytes; a call of memcpy for each would take 3 % of the time at hd 72.
FLASHRT_SIMD void copy_head(std::byte* to, const std::byte* from, std::int64_t bytes) noexcept {
  for (; bytes >= 64; bytes -= 64, to += 64, from += 64) std::memcpy(to, from, 64);
  for (; bytes >= 16; bytes -= 16, to += 16, from += 16) std::memcpy(to, from, 16);
  for (; bytes > 0; bytes -= 4, to += 4, from += 4) std::memcpy(to, from, 4);
}

template <DType T, class Y>
void attend(const Attention& op, const Exec& exec) noexcept {
  const Plan l = plan(op);
  const Visible keys(op);
  const std::int64_t G = op.kv_heads, S = op.k_cache.dim(1), block = l.rows / l.group;
  const std::int64_t head_bytes = l.hd * bits(T) / 8;
  for (std::int64_t unit; (unit = exec.claim()) < l.blocks * G * l.tiles;) {
    const std::int64_t cache = unit / l.tiles, tile = unit % l.tiles, b = cache / G, head = cache % G * l.group;
    const std::int64_t first = l.rows * tile / l.tiles, rows = l.rows * (tile + 1) / l.tiles - first;
    auto column = [&](std::int64_t r) { return (head + (first + r) % l.group) * l.hd; };
    auto row = [&](std::int64_t r) { return b * block + (first + r) / l.group; };
    if (keys.spans == 0) {
      for (std::int64_t r = 0; r < rows; ++r)
        std::memset(op.y.row<Y>(row(r)) + column(r), 0, static_cast<std::size_t>(l.hd) * sizeof(Y));
      continue;
    }
    auto q = [&](std::int64_t r) { return op.q.row<std::byte>(row(r)) + column(r) * head_bytes / l.hd; };
    for (std::int64_t r = 0; r < rows; ++r) copy_head(exec.scratch + r * l.q_pitch, q(r), head_bytes);
    // What this worker will copy next, most likely.
    for (std::int64_t r = rows * exec.workers, last = r + rows; r < last && first + r < l.rows; ++r)
      for (std::int64_t i = 0; i < head_bytes; i += 64) __builtin_prefetch(q(r) + i);
    const Tile<T> multiply(rows);
    scores<T>(l, multiply, exec.scratch, op.k_cache.data + cache * op.k_cache.stride[0] * bits(T) / 8, keys);
    // Two loops, so that no row waits for the reduction of its own largest score.
    float top[kTileRows<T>], sum[kTileRows<T>];
    for (std::int64_t r = 0; r < rows; ++r)
      top[r] = largest(reinterpret_cast<float*>(exec.scratch + l.s_at + r * l.s_pitch), keys);
    for (std::int64_t r = 0; r < rows; ++r)
      sum[r] = exponentiate<T>(exec.scratch + l.s_at + r * l.s_pitch, top[r], keys);
    values<T>(l, multiply, exec.scratch, op.v_cache.data + cache * op.v_cache.stride[0] * bits(T) / 8, S, keys);
    for (std::int64_t r = 0; r < rows; ++r)
      finish<T>(reinterpret_cast<const float*>(exec.scratch + l.o_at + r * l.o_pitch), sum[r], l.hd,
                op.y.row<Y>(row(r)) + column(r));
  }
}

void run(const Attention& op, const Exec& exec) noexcept {
  const bool narrow = op.y.dtype == DType::bf16;
  if (op.q.dtype == DType::f32)
    narrow ? attend<DType::f32, Bf16>(op, exec) : attend<DType::f32, float>(op, exec);
  else
    narrow ? attend<DType::bf16, Bf16>(op, exec) : attend<DType::bf16, float>(op, exec);
}

bool supports(const Attention& op, const DeviceInfo& device) {
  auto taken = [](DType t) { return t == DType::f32 || t == DType::bf16; };
  return (device.features & FLASHRT_ISA_FEATURE) && taken(op.q.dtype) && taken(op.y.dtype);
}

std::size_t scratch(const Attention& op, const DeviceInfo&) { return static_cast<std::size_t>(plan(op).bytes); }

}  // namespace

std::span<const Kernel<Attention>> rows(const Attention*) {
  static constexpr Kernel<Attention> kRows[] = {{FLASHRT_ISA_NAME, supports, scratch, run}};
  return kRows;
}

}  // namespace flashrt::FLASHRT_ISA
