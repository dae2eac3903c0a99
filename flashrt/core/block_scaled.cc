// SPDX-License-Identifier: Apache-2.0
#include "flashrt/core/block_scaled.h"

#include <algorithm>
#include <cmath>

#include "flashrt/core/error.h"

namespace flashrt {
namespace {

float largest(DType t) { return t == DType::f4_e2m1 ? 6.0f : 448.0f; }

}  // namespace

void BlockScaled::check() const {
  require(values.dtype == DType::f4_e2m1 || values.dtype == DType::f8_e4m3,
          "block-scaled values are f4_e2m1 or f8_e4m3, not {}", name(values.dtype));
  require(scales.dtype == DType::f8_e4m3 || scales.dtype == DType::f32, "block scales are f8_e4m3 or f32, not {}",
          name(scales.dtype));
  require(values.rank() == 2 && scales.rank() == 2 && block > 0 && values.dim(1) % block == 0 &&
              scales.dim(0) == values.dim(0) && scales.dim(1) == values.dim(1) / block,
          "scales {} do not fit values {} in blocks of {}", to_string(scales), to_string(values), block);
  require(values.dtype != DType::f4_e2m1 || values.stride[0] % 2 == 0, "rows of {} do not start at a byte",
          to_string(values));
}

float BlockScaled::at(std::int64_t n, std::int64_t k) const {
  return load_as_float(values.data, values.dtype, n * values.stride[0] + k) *
         load_as_float(scales.data, scales.dtype, n * scales.stride[0] + k / block) * global_scale;
}

BlockScaled block_scaled(Arena& arena, std::int64_t N, std::int64_t K, DType values, DType scales, std::int64_t block) {
  require(block > 0 && K % block == 0, "a row of {} is not whole blocks of {}", K, block);
  BlockScaled b{arena.tensor({N, K}, values), arena.tensor({N, K / block}, scales), block, 1};
  b.check();
  return b;
}

void quantize(const Tensor& rows, BlockScaled& out) {
  out.check();
  require(rows.dtype == DType::f32 && rows.shape == out.values.shape, "{} cannot be stored as {}", to_string(rows),
          to_string(out.values));
  float peak = 0;
  for (std::int64_t n = 0; n < rows.dim(0); ++n)
    for (std::int64_t k = 0; k < rows.dim(1); ++k) {
      float v = std::fabs(rows.row<float>(n)[k]);
      require(std::isfinite(v), "element [{}, {}] is {}", n, k, v);
      peak = std::max(peak, v);
    }
  bool small_scales = out.scales.dtype == DType::f8_e4m3;
  float reach = largest(out.values.dtype);
  out.global_scale = small_scales && peak > 0 ? peak / (reach * largest(DType::f8_e4m3)) : 1.0f;
  for (std::int64_t n = 0; n < rows.dim(0); ++n)
    for (std::int64_t b = 0; b < out.scales.dim(1); ++b) {
      const float* from = rows.row<float>(n) + b * out.block;
      float most = 0;
      for (std::int64_t k = 0; k < out.block; ++k) most = std::max(most, std::fabs(from[k]));
      std::int64_t scale_at = n * out.scales.stride[0] + b;
      store_from_float(out.scales.data, out.scales.dtype, scale_at, most / (reach * out.global_scale));
      float scale = load_as_float(out.scales.data, out.scales.dtype, scale_at) * out.global_scale;
      for (std::int64_t k = 0; k < out.block; ++k)
        store_from_float(out.values.data, out.values.dtype, n * out.values.stride[0] + b * out.block + k,
                         scale > 0 ? from[k] / scale : 0.0f);
    }
}

}  // namespace flashrt
