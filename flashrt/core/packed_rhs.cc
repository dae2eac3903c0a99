// SPDX-License-Identifier: Apache-2.0
#include "flashrt/core/packed_rhs.h"

#include <cstring>

#include "flashrt/core/error.h"

namespace flashrt {
namespace {

std::int64_t element(const Tensor& t, std::int64_t b, std::int64_t n, std::int64_t k) {
  return b * (t.rank() == 3 ? t.stride[0] : 0) + packed_index(t.dtype, t.dim(-1), n, k);
}

}  // namespace

std::int64_t packed_rhs_bytes(const Shape& s, DType t) {
  require(s.rank == 2 || s.rank == 3, "a packed right-hand side is [N, K] or [B, N, K], not {}", to_string(s));
  return (s.rank == 3 ? s[0] : 1) * bytes_for(t, packed_elements(t, s[-2], s[-1]));
}

Tensor packed_rhs(void* data, Shape s, DType t) {
  packed_rhs_bytes(s, t);
  Tensor out(data, s, t);
  out.layout = Layout::packed_rhs;
  if (s.rank == 3) out.stride[0] = packed_elements(t, s[-2], s[-1]);
  return out;
}

void clear_packed_rhs(const Tensor& t) {
  std::memset(t.data, t.dtype == DType::i8 ? kPackedBias : 0, static_cast<std::size_t>(t.span_bytes()));
}

float packed_value(const Tensor& t, std::int64_t b, std::int64_t n, std::int64_t k) {
  std::int64_t i = element(t, b, n, k);
  if (t.dtype == DType::i8) return load_as_float(t.data, DType::u8, i) - kPackedBias;
  return load_as_float(t.data, t.dtype, i);
}

void set_packed_value(const Tensor& t, std::int64_t b, std::int64_t n, std::int64_t k, float value) {
  std::int64_t i = element(t, b, n, k);
  if (t.dtype == DType::i8) return store_from_float(t.data, DType::u8, i, value + kPackedBias);
  store_from_float(t.data, t.dtype, i, value);
}

}  // namespace flashrt
