// SPDX-License-Identifier: Apache-2.0
// Noise: each worker takes a contiguous share of the rows. The numbers come from normal.cc, which is compiled once.
#include "flashrt/ops/noise/noise.h"
#include "flashrt/ops/noise/normal.h"
#include "flashrt/ops/row_loops.h"

namespace flashrt::FLASHRT_ISA {
namespace {

bool supports(const Noise&, const DeviceInfo& device) { return device.features & FLASHRT_ISA_FEATURE; }

void run(const Noise& op, const Exec& exec) noexcept {
  const NoiseKey& key = *op.key;
  const std::int64_t A = op.y.dim(1);
  const auto [first, last] = exec.share(op.y.dim(0));
  for (std::int64_t c = first; c < last; ++c) {
    float* y = op.y.row<float>(c);
    if (key.given) {
      const float* given = op.given.row<float>(c);
      for_vectors(A, [&](std::int64_t i, auto lanes) { store(y + i, load(given + i, lanes), lanes); });
    } else {
      normals(key.seed, key.stream, static_cast<std::uint64_t>(c * A), A, y);
    }
  }
}

}  // namespace

std::span<const Kernel<Noise>> rows(const Noise*) {
  static constexpr Kernel<Noise> kRows[] = {{FLASHRT_ISA_NAME, supports, nullptr, run}};
  return kRows;
}

}  // namespace flashrt::FLASHRT_ISA
