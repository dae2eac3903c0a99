// SPDX-License-Identifier: Apache-2.0
// Rope on the CPU: memory-bound moves with a rotation on the way.
//
// Units, claimed in turn: the V rows, then the K rows, that go to one cache panel of 32 rows, then 8 rows of Q. No two
// units share a packed group. A head's rows are staged in the cache's type (rotated for K; straight from qkv when
// nothing changes) and from there transposed into the K panel by 4 x 4 blocks of 32 bits (a bf16 pair or one f32), or
// interleaved two by two into V's groups.
#include <cstring>

#include "flashrt/core/packed_rhs.h"
#include "flashrt/ops/cpu_rows.h"
#include "flashrt/ops/rope/rope.h"
#include "flashrt/ops/simd.h"

namespace flashrt::FLASHRT_ISA {
namespace {

constexpr std::int64_t kQueryRows = 8;

// The op with its derived extents.
struct Job {
  const Rope& op;
  std::int64_t T, H, G, hd, block, blocks;
  std::int64_t first_panel, panels;  // of one block's cache rows
  std::int64_t position;             // of row 0

  explicit Job(const Rope& o) noexcept
      : op(o), T(o.qkv.dim(0)), H(o.heads), G(o.kv_heads), hd(o.qkv.dim(1) / (H + 2 * G)) {
    block = o.block ? o.block : T;
    blocks = T / block;
    first_panel = o.cache_row / kPanel;
    panels = (o.cache_row + block + kPanel - 1) / kPanel - first_panel;
    position = (o.position ? *o.position : 0) + o.first_position;
  }
  std::int64_t table_row(std::int64_t t) const noexcept {
    const std::int64_t p = position + t, last = op.cos.dim(0) - 1;
    return p < 0 ? 0 : p < last ? p : last;
  }
};

// The rows of one head are too short for the hardware to foresee what is read next: without this, three quarters of the
// time goes by waiting for L3.
FLASHRT_SIMD void prefetch(const void* p, std::int64_t bytes) noexcept {
  for (std::int64_t i = 0; i < bytes; i += 64) __builtin_prefetch(static_cast<const std::byte*>(p) + i);
}

template <class In, class Out>
void convert(const In* x, std::int64_t n, float scale, Out* y) noexcept {
  const Vf by = splat(scale);
  std::int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) store(y + i, load(x + i) * by);
  if (i < n) store_first(y + i, load_first(x + i, n - i) * by, n - i);
}

template <class In, class Out>
void rotate(const In* x, const float* cos, const float* sin, std::int64_t half, float scale, Out* y) noexcept {
  const Vf by = splat(scale);
  std::int64_t i = 0;
  for (; i + kLanes <= half; i += kLanes) {
    const Vf a = load(x + i), b = load(x + half + i), c = load(cos + i) * by, s = load(sin + i) * by;
    store(y + i, a * c - b * s);
    store(y + half + i, b * c + a * s);
  }
  if (const std::int64_t n = half - i; n > 0) {
    const Vf a = load_first(x + i, n), b = load_first(x + half + i, n);
    const Vf c = load_first(cos + i, n) * by, s = load_first(sin + i, n) * by;
    store_first(y + i, a * c - b * s, n);
    store_first(y + half + i, b * c + a * s, n);
  }
}

// A head's rows of one panel, in the cache's type.
struct Staged {
  const std::byte* data;
  std::int64_t pitch;  // bytes
};

// Head `head` of rows [first, first + count) of qkv.
template <class In, class Out>
Staged stage(const Job& job, std::int64_t first, std::int64_t count, std::int64_t head, bool rotated,
             std::byte* scratch) noexcept {
  const Tensor& qkv = job.op.qkv;
  const std::byte* x = qkv.row<std::byte>(first) + head * job.hd * static_cast<std::int64_t>(sizeof(In));
  if (std::is_same_v<In, Out> && !rotated) return {x, qkv.row_bytes()};
  const std::int64_t pitch = round_up(job.hd * static_cast<std::int64_t>(sizeof(Out)), 64) + 64;
  for (std::int64_t r = 0; r < count; ++r) {
    const In* from = reinterpret_cast<const In*>(x + r * qkv.row_bytes());
    Out* to = reinterpret_cast<Out*>(scratch + r * pitch);
    prefetch(x + (r + 4) * qkv.row_bytes(), job.hd * static_cast<std::int64_t>(sizeof(In)));
    if (rotated) {
      const std::int64_t p = job.table_row(first + r);
      rotate(from, job.op.cos.row<float>(p), job.op.sin.row<float>(p), job.hd / 2, 1, to);
    } else {
      convert(from, job.hd, 1, to);
    }
  }
  return {scratch, pitch};
}

// `count` rows of `units` 32-bit units each become columns `column`... of a panel whose rows are 32 units.
void transpose_into(const Staged& x, std::int64_t count, std::int64_t units, std::byte* panel,
                    std::int64_t column) noexcept {
  auto scalar = [&](std::int64_t r, std::int64_t u) {
    std::memcpy(panel + (u * kPanel + column + r) * 4, x.data + r * x.pitch + u * 4, 4);
  };
  auto row = [&](std::int64_t r, std::int64_t u) {
    return _mm_loadu_ps(reinterpret_cast<const float*>(x.data + r * x.pitch + u * 4));
  };
  std::int64_t r = 0;
  for (std::int64_t u = 0; u < units; ++u) __builtin_prefetch(panel + (u * kPanel + column) * 4, 1);
  for (; r + 4 <= count; r += 4) {
    for (std::int64_t i = r; i < r + 4; ++i) prefetch(x.data + i * x.pitch + units * 4, units * 4);  // the next head
    std::int64_t u = 0;
    for (; u + 4 <= units; u += 4) {
      __m128 a = row(r, u), b = row(r + 1, u), c = row(r + 2, u), d = row(r + 3, u);
      _MM_TRANSPOSE4_PS(a, b, c, d);
      auto* to = reinterpret_cast<float*>(panel) + u * kPanel + column + r;
      _mm_storeu_ps(to, a), _mm_storeu_ps(to + kPanel, b);
      _mm_storeu_ps(to + 2 * kPanel, c), _mm_storeu_ps(to + 3 * kPanel, d);
    }
    for (; u < units; ++u)
      for (std::int64_t i = r; i < r + 4; ++i) scalar(i, u);
  }
  for (; r < count; ++r)
    for (std::int64_t u = 0; u < units; ++u) scalar(r, u);
}

// Rows of f32 become cache rows (K of the packed layout) of V, panel by panel of its columns.
void write_values(const Staged& x, std::int64_t count, std::int64_t hd, float* v, std::int64_t S,
                  std::int64_t key) noexcept {
  for (std::int64_t n = 0; n < hd; n += kPanel) {
    const std::int64_t width = (hd - n < kPanel ? hd - n : kPanel) * 4;
    for (std::int64_t r = 0; r < count; ++r)
      std::memcpy(v + packed_index(DType::f32, S, n, key + r), x.data + r * x.pitch + n * 4,
                  static_cast<std::size_t>(width));
  }
}

// The same for bf16: two rows interleaved, and a row without its neighbour element by element.
void write_values(const Staged& x, std::int64_t count, std::int64_t hd, Bf16* v, std::int64_t S,
                  std::int64_t key) noexcept {
  auto element = [&](std::int64_t r, std::int64_t n) {
    std::memcpy(v + packed_index(DType::bf16, S, n, key + r), x.data + r * x.pitch + n * 2, 2);
  };
  auto single = [&](std::int64_t r) {
    for (std::int64_t n = 0; n < hd; ++n) element(r, n);
  };
  std::int64_t r = 0;
  if (key % 2) single(r++);
  for (; r + 2 <= count; r += 2) {
    const std::byte *first = x.data + r * x.pitch, *second = first + x.pitch;
    auto eight = [](const std::byte* p) { return _mm_loadu_si128(reinterpret_cast<const __m128i_u*>(p)); };
    prefetch(first + hd * 2, hd * 2), prefetch(second + hd * 2, hd * 2);  // the next head
    Bf16* to = v + packed_index(DType::bf16, S, 0, key + r);
    for (std::int64_t n = 0; n < hd; n += kPanel, to += packed_panel(DType::bf16, S)) {
      const std::int64_t width = hd - n < kPanel ? hd - n : kPanel;
      __builtin_prefetch(to + 4 * 2 * kPanel, 1), __builtin_prefetch(to + 4 * 2 * kPanel + kPanel, 1);
      std::int64_t i = 0;
      for (; i + 8 <= width; i += 8) {
        const __m128i a = eight(first + (n + i) * 2), b = eight(second + (n + i) * 2);
        auto* at = reinterpret_cast<__m128i_u*>(to + i * 2);
        _mm_storeu_si128(at, _mm_unpacklo_epi16(a, b));
        _mm_storeu_si128(at + 1, _mm_unpackhi_epi16(a, b));
      }
      for (; i < width; ++i) element(r, n + i), element(r + 1, n + i);
    }
  }
  if (r < count) single(r);
}

// The rows of block b that lie in panel p of its caches.
struct Rows {
  std::int64_t cache_row, count, first;  // `first` in qkv
};
Rows rows_of_panel(const Job& job, std::int64_t b, std::int64_t p) noexcept {
  const std::int64_t start = job.op.cache_row, end = start + job.block;
  const std::int64_t from = p * kPanel < start ? start : p * kPanel;
  const std::int64_t to = (p + 1) * kPanel < end ? (p + 1) * kPanel : end;
  return {from, to - from, b * job.block + from - start};
}

template <class In, class Cache>
void write_k(const Job& job, std::int64_t b, std::int64_t p, std::byte* scratch) noexcept {
  constexpr DType kType = sizeof(Cache) == 4 ? DType::f32 : DType::bf16;
  const Rows rows = rows_of_panel(job, b, p);
  const Tensor& k = job.op.k_cache;
  for (std::int64_t g = 0; g < job.G; ++g) {
    const Staged x = stage<In, Cache>(job, rows.first, rows.count, job.H + g, static_cast<bool>(job.op.cos), scratch);
    Cache* panel = k.as<Cache>() + (b * job.G + g) * k.stride[0] + p * packed_panel(kType, job.hd);
    transpose_into(x, rows.count, job.hd / packed_group(kType), reinterpret_cast<std::byte*>(panel),
                   rows.cache_row % kPanel);
  }
}

template <class In, class Cache>
void write_v(const Job& job, std::int64_t b, std::int64_t p, std::byte* scratch) noexcept {
  const Rows rows = rows_of_panel(job, b, p);
  const Tensor& v = job.op.v_cache;
  for (std::int64_t g = 0; g < job.G; ++g) {
    const Staged x = stage<In, Cache>(job, rows.first, rows.count, job.H + job.G + g, false, scratch);
    write_values(x, rows.count, job.hd, v.as<Cache>() + (b * job.G + g) * v.stride[0], v.dim(2), rows.cache_row);
  }
}

template <class In, class Out>
void write_q(const Job& job, std::int64_t first) noexcept {
  const Rope& op = job.op;
  const std::int64_t last = first + kQueryRows < job.T ? first + kQueryRows : job.T;
  const std::int64_t head_bytes = job.hd * static_cast<std::int64_t>(sizeof(In));
  for (std::int64_t t = first; t < last; ++t) {
    const In* x = op.qkv.row<In>(t);
    Out* y = op.q.row<Out>(t);
    if (!op.cos) {
      convert(x, job.H * job.hd, op.q_scale, y);
      continue;
    }
    const std::int64_t p = job.table_row(t);
    const std::byte* next = op.qkv.row<std::byte>(t + 1);
    for (std::int64_t h = 0; h < job.H; ++h) {
      prefetch(next + h * head_bytes, head_bytes);
      rotate(x + h * job.hd, op.cos.row<float>(p), op.sin.row<float>(p), job.hd / 2, op.q_scale, y + h * job.hd);
    }
  }
}

template <class In>
void run_from(const Rope& op, const Exec& exec) noexcept {
  const Job job(op);
  const std::int64_t panels = job.blocks * job.panels;
  const std::int64_t units = 2 * panels + (op.q ? (job.T + kQueryRows - 1) / kQueryRows : 0);
  for (std::int64_t unit; (unit = exec.claim()) < units;) {
    if (unit >= 2 * panels) {
      const std::int64_t first = (unit - 2 * panels) * kQueryRows;
      op.q.dtype == DType::f32 ? write_q<In, float>(job, first) : write_q<In, Bf16>(job, first);
      continue;
    }
    const std::int64_t b = unit % panels / job.panels, p = job.first_panel + unit % job.panels;
    if (unit < panels)
      op.v_cache.dtype == DType::f32 ? write_v<In, float>(job, b, p, exec.scratch)
                                     : write_v<In, Bf16>(job, b, p, exec.scratch);
    else
      op.k_cache.dtype == DType::f32 ? write_k<In, float>(job, b, p, exec.scratch)
                                     : write_k<In, Bf16>(job, b, p, exec.scratch);
  }
}

void run(const Rope& op, const Exec& exec) noexcept {
  op.qkv.dtype == DType::f32 ? run_from<float>(op, exec) : run_from<Bf16>(op, exec);
}

bool supports(const Rope& op, const DeviceInfo& device) {
  auto taken = [](DType t) { return t == DType::f32 || t == DType::bf16; };
  return (device.features & FLASHRT_ISA_FEATURE) && taken(op.qkv.dtype) && taken(op.k_cache.dtype) &&
         taken(op.v_cache.dtype) && (!op.q || taken(op.q.dtype));
}

std::size_t scratch(const Rope& op, const DeviceInfo&) {
  const std::int64_t hd = op.qkv.dim(1) / (op.heads + 2 * op.kv_heads);
  return static_cast<std::size_t>(kPanel * (round_up(hd * 4, 64) + 64));
}

}  // namespace

std::span<const Kernel<Rope>> rows(const Rope*) {
  static constexpr Kernel<Rope> kRows[] = {{FLASHRT_ISA_NAME, supports, scratch, run}};
  return kRows;
}

}  // namespace flashrt::FLASHRT_ISA
