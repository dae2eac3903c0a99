// SPDX-License-Identifier: Apache-2.0
// Loops over one row of a matrix for cpu.cc files: sixteen elements at a time, the tail with the same text.
//
// The bodies take (first element, lanes) where lanes is simd.h's All or First.
#pragma once

#include "flashrt/ops/simd.h"

namespace flashrt::FLASHRT_ISA {

template <class F>
FLASHRT_SIMD void for_vectors(std::int64_t n, F body) {
  std::int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) body(i, All{});
  if (i < n) body(i, First{n - i});
}

// What body returns, joined. Four accumulators hide the latency of the joins.
template <class F, class Join>
FLASHRT_SIMD Vf fold_vectors(std::int64_t n, F body, Join join) {
  Vf a = splat(0.0f), b = a, c = a, d = a;
  std::int64_t i = 0;
  for (; i + 4 * kLanes <= n; i += 4 * kLanes) {
    a = join(a, body(i, All{}));
    b = join(b, body(i + kLanes, All{}));
    c = join(c, body(i + 2 * kLanes, All{}));
    d = join(d, body(i + 3 * kLanes, All{}));
  }
  for (; i + kLanes <= n; i += kLanes) a = join(a, body(i, All{}));
  if (i < n) b = join(b, body(i, First{n - i}));  // body gives zero in the lanes past the end
  return join(join(a, b), join(c, d));
}
template <class F>
FLASHRT_SIMD float sum_vectors(std::int64_t n, F body) {
  return sum(fold_vectors(
      n, body, [](Vf a, Vf b) __attribute__((always_inline)) { return a + b; }));
}
// The largest magnitude of what body returns, 0 at least; NaN where there is one, which max() alone would pass over.
template <class F>
FLASHRT_SIMD float largest_magnitude(std::int64_t n, F body) {
  const Vf v = fold_vectors(
      n, [&](std::int64_t i, auto lanes) __attribute__((always_inline)) { return abs(body(i, lanes)); },
      [](Vf a, Vf b) __attribute__((always_inline)) { return select(a != a, a, max(a, b)); });
  alignas(64) float lanes[kLanes];
  store(lanes, v);
  float largest = 0;
  for (float x : lanes)
    if (x > largest || x != x) largest = x;
  return largest;
}

// Calls f with row i of a matrix of f32 or bf16 as a pointer to its storage type.
template <class F>
FLASHRT_SIMD void with_row(const Tensor& t, std::int64_t i, F f) {
  if (t.dtype == DType::bf16)
    f(t.row<Bf16>(i));
  else
    f(t.row<float>(i));
}

}  // namespace flashrt::FLASHRT_ISA
