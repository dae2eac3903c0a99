// SPDX-License-Identifier: Apache-2.0
// Quantize: each worker takes a contiguous share of the rows. A row is read twice, the second time from L1, so the
// bound is memory traffic.
#include "flashrt/ops/quantize/quantize_row.h"

namespace flashrt::FLASHRT_ISA {
namespace {

bool supports(const Quantize&, const DeviceInfo& device) { return device.features & FLASHRT_ISA_FEATURE; }

void run(const Quantize& op, const Exec& exec) noexcept {
  const std::int64_t D = op.x.dim(1);
  const auto [first, last] = exec.share(op.x.dim(0));
  for (std::int64_t t = first; t < last; ++t)
    with_row(op.x, t, [&](const auto* x) {
      quantize_row(x, D, largest_of_row(x, D), op.y.row<std::int8_t>(t), op.y_scale.row<float>(t));
    });
}

}  // namespace

std::span<const Kernel<Quantize>> rows(const Quantize*) {
  static constexpr Kernel<Quantize> kRows[] = {{FLASHRT_ISA_NAME, supports, nullptr, run}};
  return kRows;
}

}  // namespace flashrt::FLASHRT_ISA
