// SPDX-License-Identifier: Apache-2.0
#include "flashrt/ops/noise/noise.h"

#include "flashrt/ops/checks.h"
#include "flashrt/ops/cpu_rows.h"

namespace flashrt {

void Noise::check() const {
  require(key != nullptr, "key is null; it must be the address of a NoiseKey slot");
  check_matrix(y, "y", {DType::f32});
  check_tensor(given, "given", {DType::f32}, y.shape);
}

void Noise::access(Accesses& a) const {
  a.reads(given);
  a.writes(y);
}

Cost Noise::cost() const { return {.flops = 80.0 * static_cast<double>(y.elements()), .bytes = traffic(y)}; }

FLASHRT_CPU_ROWS(Noise)

}  // namespace flashrt
