// SPDX-License-Identifier: Apache-2.0
#include "flashrt/ops/rope/rope.h"

#include "flashrt/core/error.h"
#include "flashrt/core/packed_rhs.h"
#include "flashrt/ops/cpu_rows.h"

namespace flashrt {
namespace {

bool is_rows(const Tensor& t) {
  return t.rank() == 2 && t.layout == Layout::strided && (t.dtype == DType::f32 || t.dtype == DType::bf16);
}
bool is_cache(const Tensor& t) {
  return t.rank() == 3 && t.layout == Layout::packed_rhs && (t.dtype == DType::f32 || t.dtype == DType::bf16);
}

}  // namespace

void Rope::check() const {
  require(heads >= 0 && kv_heads > 0, "heads ({}) must not be negative and kv_heads ({}) must be positive", heads,
          kv_heads);
  const std::int64_t columns = heads + 2 * kv_heads;
  require(is_rows(qkv) && qkv.dim(0) > 0, "qkv is {}; it must be f32 or bf16 [T, (H + 2G) * hd]", to_string(qkv));
  require(qkv.dim(1) > 0 && qkv.dim(1) % (2 * columns) == 0,
          "qkv is {}; its width must be {} heads (H {} + 2 G {}) of an even width", to_string(qkv), columns, heads,
          kv_heads);
  const std::int64_t T = qkv.dim(0), hd = qkv.dim(1) / columns;
  if (q)
    require(is_rows(q) && q.dim(0) == T && q.dim(1) == heads * hd && heads > 0,
            "q is {}; beside qkv {} it must be f32 or bf16 [{}, {}]", to_string(q), to_string(qkv), T, heads * hd);
  require(block >= 0 && (block == 0 || T % block == 0), "the {} rows of qkv do not divide into blocks of {}", T, block);
  const std::int64_t rows = block ? block : T, caches = T / rows * kv_heads;
  require(is_cache(k_cache) && k_cache.dim(0) == caches && k_cache.dim(2) == hd,
          "the K cache is {}; it must be f32 or bf16 packed_rhs [{}, S, {}]", to_string(k_cache), caches, hd);
  require(is_cache(v_cache) && v_cache.dim(0) == caches && v_cache.dim(1) == hd && v_cache.dim(2) == k_cache.dim(1),
          "the V cache is {}; beside the K cache {} it must be f32 or bf16 packed_rhs [{}, {}, {}]", to_string(v_cache),
          to_string(k_cache), caches, hd, k_cache.dim(1));
  require(cache_row >= 0 && cache_row + rows <= k_cache.dim(1),
          "rows [{}, {}) are outside the cache, which has {}; make the cache longer", cache_row, cache_row + rows,
          k_cache.dim(1));
  require(static_cast<bool>(cos) == static_cast<bool>(sin), "cos and sin must both be set or both be unset");
  if (cos) {
    require(cos.rank() == 2 && cos.dtype == DType::f32 && cos.layout == Layout::strided && cos.dim(0) > 0 &&
                cos.dim(1) == hd / 2 && sin.shape == cos.shape && sin.dtype == DType::f32 &&
                sin.layout == Layout::strided,
            "the tables are {} and {}; both must be f32 [P, {}]", to_string(cos), to_string(sin), hd / 2);
  }
}

void Rope::access(Accesses& a) const {
  a.reads(qkv);
  a.reads(cos);
  a.reads(sin);
  a.writes(q);
  a.writes(k_cache);
  a.writes(v_cache);
}

Cost Rope::cost() const {
  const double rows = static_cast<double>(qkv.dim(0));
  const std::int64_t head_dim = qkv.dim(1) / (heads + 2 * kv_heads);
  const double hd = static_cast<double>(head_dim);
  const double query = q ? static_cast<double>(heads) : 0, kv = static_cast<double>(kv_heads);
  const double rotated = cos ? rows * hd * (query + kv) : 0;
  Cost c;
  c.flops = 3 * rotated + rows * hd * query;
  c.bytes = rows * hd * (query + 2 * kv) * bits(qkv.dtype) / 8 + (q ? rows * hd * query * bits(q.dtype) / 8 : 0) +
            rows * hd * kv * (bits(k_cache.dtype) + bits(v_cache.dtype)) / 8 + (cos ? rows * hd * 4 : 0);
  return c;
}

FLASHRT_CPU_ROWS(Rope)

}  // namespace flashrt
