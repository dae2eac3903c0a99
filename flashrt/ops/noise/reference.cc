// SPDX-License-Identifier: Apache-2.0
// Noise as noise.h defines it, with the C library's functions.
#include <cmath>
#include <numbers>

#include "flashrt/ops/noise/noise.h"
#include "flashrt/ops/noise/normal.h"

namespace flashrt {

void reference(const Noise& op) {
  const std::int64_t C = op.y.dim(0), A = op.y.dim(1);
  for (std::int64_t c = 0; c < C; ++c)
    for (std::int64_t a = 0; a < A; ++a) {
      float& y = op.y.row<float>(c)[a];
      if (op.key->given) {
        y = op.given.row<float>(c)[a];
        continue;
      }
      const auto n = static_cast<std::uint64_t>(c * A + a);
      const auto u = noise_words(op.key->seed, op.key->stream, n / 4);
      const std::size_t j = n % 4 / 2 * 2;
      const double radius = std::sqrt(-2 * std::log((u[j] + 0.5) / 0x1p32));
      const double angle = 2 * std::numbers::pi * ((u[j + 1] + 0.5) / 0x1p32);
      y = static_cast<float>(radius * (n % 2 == 0 ? std::cos(angle) : std::sin(angle)));
    }
}

}  // namespace flashrt
