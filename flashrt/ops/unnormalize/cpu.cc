// SPDX-License-Identifier: Apache-2.0
// Unnormalize: each worker takes a contiguous share of the rows. A few kilobytes: the bound is the launch.
#include "flashrt/ops/row_loops.h"
#include "flashrt/ops/unnormalize/unnormalize.h"

namespace flashrt::FLASHRT_ISA {
namespace {

bool supports(const Unnormalize&, const DeviceInfo& device) { return device.features & FLASHRT_ISA_FEATURE; }

void run(const Unnormalize& op, const Exec& exec) noexcept {
  const float *scale = op.scale.as<float>(), *offset = op.offset.as<float>();
  const float *state = op.state.as<float>(), *mask = op.mask.as<float>();
  const auto [first, last] = exec.share(op.y.dim(0));
  for (std::int64_t c = first; c < last; ++c) {
    const float* x = op.x.row<float>(c);
    float* y = op.y.row<float>(c);
    for_vectors(op.y.dim(1), [&](std::int64_t i, auto lanes) {
      Vf v = load(x + i, lanes) * load(scale + i, lanes) + load(offset + i, lanes);
      if (state) {
        const Vf s = load(state + i, lanes);
        v += mask ? load(mask + i, lanes) * s : s;
      }
      store(y + i, v, lanes);
    });
  }
}

}  // namespace

std::span<const Kernel<Unnormalize>> rows(const Unnormalize*) {
  static constexpr Kernel<Unnormalize> kRows[] = {{FLASHRT_ISA_NAME, supports, nullptr, run}};
  return kRows;
}

}  // namespace flashrt::FLASHRT_ISA
