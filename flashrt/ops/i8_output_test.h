// SPDX-License-Identifier: Apache-2.0
// What op_test must ask of an i8 output y with its y_scale, where rounding decides single steps of the integers.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <vector>

#include "flashrt/core/tensor.h"

namespace flashrt {

// An `inspect` for op_test, for ops of any output type: the stored sums are those of the stored integers, a row reaches
// 127 unless its scale is 0, and scales are the reference's within `rel` (op_test calls first with the reference's).
inline auto inspect_i8(double rel = 1e-5) {
  return [rel, expected = std::vector<float>()](const auto& op) mutable {
    if (!op.y_scale) return;
    const bool is_reference = expected.empty();
    for (std::int64_t t = 0; t < op.y.dim(0); ++t) {
      std::int64_t sum = 0;
      int largest = 0;
      for (std::int64_t d = 0; d < op.y.dim(1); ++d) {
        const int q = op.y.template row<std::int8_t>(t)[d];
        sum += q;
        largest = std::max(largest, std::abs(q));
      }
      const float* scale = op.y_scale.template row<float>(t);
      if (is_reference) expected.push_back(scale[0]);
      const float e = expected[static_cast<std::size_t>(t)];
      EXPECT_NEAR(scale[0], e, rel * std::fabs(e)) << "scale of row " << t;
      EXPECT_EQ(scale[1], static_cast<float>(sum)) << "row " << t;
      EXPECT_EQ(largest, scale[0] > 0 ? 127 : 0) << "row " << t;
    }
  };
}

}  // namespace flashrt
