// SPDX-License-Identifier: Apache-2.0
#include "flashrt/ops/attention/attention.h"

#include "flashrt/core/error.h"
#include "flashrt/core/packed_rhs.h"
#include "flashrt/ops/cpu_rows.h"

namespace flashrt {

void Attention::check() const {
  require(heads > 0 && kv_heads > 0 && heads % kv_heads == 0, "heads ({}) must be a positive multiple of kv_heads ({})",
          heads, kv_heads);
  require(q.rank() == 2 && q.layout == Layout::strided && (q.dtype == DType::f32 || q.dtype == DType::bf16),
          "q is {}; it must be f32 or bf16 [T, heads * hd]", to_string(q));
  require(q.dim(0) > 0 && q.dim(1) > 0 && q.dim(1) % (2 * heads) == 0,
          "q is {}; its width must be {} heads of an even width", to_string(q), heads);
  require(y.rank() == 2 && y.layout == Layout::strided && y.shape == q.shape &&
              (y.dtype == DType::f32 || y.dtype == DType::bf16),
          "y is {} and q is {}; y must be f32 or bf16 of the shape of q", to_string(y), to_string(q));
  require(block >= 0 && (block == 0 || q.dim(0) % block == 0), "the {} rows of q do not divide into blocks of {}",
          q.dim(0), block);
  const std::int64_t hd = q.dim(1) / heads, caches = (block ? q.dim(0) / block : 1) * kv_heads;
  require(k_cache.rank() == 3 && k_cache.layout == Layout::packed_rhs && k_cache.dtype == q.dtype,
          "the K cache is {} and q is {}; it must be packed_rhs [B, S, hd] of the dtype of q", to_string(k_cache),
          to_string(q));
  require(v_cache.rank() == 3 && v_cache.layout == Layout::packed_rhs && v_cache.dtype == q.dtype,
          "the V cache is {} and q is {}; it must be packed_rhs [B, hd, S] of the dtype of q", to_string(v_cache),
          to_string(q));
  require(k_cache.dim(0) == caches && k_cache.dim(2) == hd,
          "the K cache is {}; {} rows in blocks of {} with {} kv heads need [{}, S, {}]", to_string(k_cache), q.dim(0),
          block, kv_heads, caches, hd);
  require(v_cache.dim(0) == caches && v_cache.dim(1) == hd && v_cache.dim(2) == k_cache.dim(1),
          "the V cache is {}; beside the K cache {} it must be [{}, {}, {}]", to_string(v_cache), to_string(k_cache),
          caches, hd, k_cache.dim(1));
  require(keys > 0 && keys <= k_cache.dim(1), "{} keys do not fit the {} rows of the cache", keys, k_cache.dim(1));
  require(prefix >= 0 && prefix <= keys, "the masked prefix of {} rows is longer than the {} keys", prefix, keys);
}

void Attention::access(Accesses& a) const {
  a.reads(q);
  a.reads(k_cache);
  a.reads(v_cache);
  a.writes(y);
}

Cost Attention::cost() const {
  const double rows = static_cast<double>(q.dim(0)), n = static_cast<double>(keys);
  const double caches = static_cast<double>(k_cache.dim(0)), hd = static_cast<double>(k_cache.dim(2));
  Cost c;
  c.flops = 4 * rows * n * hd * static_cast<double>(heads);
  c.bytes = static_cast<double>(bytes_for(q.dtype, q.elements()) + bytes_for(y.dtype, y.elements())) +
            2 * caches * n * hd * bits(q.dtype) / 8;
  c.math = q.dtype;
  return c;
}

FLASHRT_CPU_ROWS(Attention)

}  // namespace flashrt
