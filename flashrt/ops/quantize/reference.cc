// SPDX-License-Identifier: Apache-2.0
// Quantize in plain loops. The arithmetic is that of the rows, in f32 without fusing, so that integers agree exactly.
#include <algorithm>
#include <cmath>

#include "flashrt/ops/quantize/quantize.h"

namespace flashrt {

void reference(const Quantize& op) {
  const std::int64_t T = op.x.dim(0), D = op.x.dim(1);
  for (std::int64_t t = 0; t < T; ++t) {
    const auto* x = op.x.row<std::byte>(t);
    auto* y = op.y.row<std::int8_t>(t);
    float largest = 0;
    for (std::int64_t d = 0; d < D; ++d) {
      const float magnitude = std::fabs(load_as_float(x, op.x.dtype, d));
      if (magnitude > largest || std::isnan(magnitude)) largest = magnitude;
    }
    float* scale = op.y_scale.row<float>(t);
    if (!Quantize::finite(largest)) {
      std::fill_n(y, D, std::int8_t{0});
      scale[0] = Quantize::kNotFinite;
      scale[1] = 0;
      continue;
    }
    if (largest < Quantize::kSmallest) largest = 0;
    const float inverse = largest > 0 ? 127.0f / largest : 0.0f;
    std::int64_t sum = 0;
    for (std::int64_t d = 0; d < D; ++d) {
      const float q = std::nearbyint(load_as_float(x, op.x.dtype, d) * inverse);
      y[d] = static_cast<std::int8_t>(q);
      sum += y[d];
    }
    scale[0] = largest / 127.0f;
    scale[1] = static_cast<float>(sum);
  }
}

}  // namespace flashrt
