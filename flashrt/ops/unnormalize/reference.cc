// SPDX-License-Identifier: Apache-2.0
// Unnormalize in plain loops, in double.
#include "flashrt/ops/unnormalize/unnormalize.h"

namespace flashrt {

void reference(const Unnormalize& op) {
  for (std::int64_t c = 0; c < op.y.dim(0); ++c)
    for (std::int64_t r = 0; r < op.y.dim(1); ++r) {
      double v = static_cast<double>(op.x.row<float>(c)[r]) * op.scale.as<float>()[r] + op.offset.as<float>()[r];
      if (op.state) v += static_cast<double>(op.mask ? op.mask.as<float>()[r] : 1.0f) * op.state.as<float>()[r];
      op.y.row<float>(c)[r] = static_cast<float>(v);
    }
}

}  // namespace flashrt
