// SPDX-License-Identifier: Apache-2.0
// Logarithm, sine and cosine are written out in double, good to 1e-15, because the C library's differ between machines
// in the last bit; sums and products must not be fused for the same reason.
#include "flashrt/ops/noise/normal.h"

#include <bit>
#include <cmath>

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#elif defined(__GNUC__)
#pragma GCC optimize("fp-contract=off")
#endif

namespace flashrt {
namespace {

constexpr double kPi = 3.141592653589793, kLn2 = 0.6931471805599453;

// (u + 1/2) / 2^32, in (0, 1) and exact.
double uniform(std::uint32_t u) { return (u + 0.5) * 0x1p-32; }

// ln x for a normal x > 0: x = m 2^e with m in [sqrt(1/2), sqrt(2)), ln m = 2 artanh((m - 1) / (m + 1)).
double log_of(double x) {
  const auto b = std::bit_cast<std::uint64_t>(x);
  int e = static_cast<int>(b >> 52) - 1023;
  double m = std::bit_cast<double>((b & 0xfffffffffffffu) | 0x3ff0000000000000u);
  if (m > 1.4142135623730951) m /= 2, ++e;
  const double s = (m - 1) / (m + 1), s2 = s * s;  // s2 < 0.0295
  double sum = 0;
  for (int k = 21; k >= 1; k -= 2) sum = sum * s2 + 1.0 / k;
  return e * kLn2 + 2 * s * sum;
}

struct Direction {
  double cos, sin;
};
// The direction of angle 2 pi t, 0 <= t <= 1, by Taylor series about the nearest quarter turn.
Direction direction(double t) {
  const int quarter = static_cast<int>(t * 4 + 0.5);
  const double x = 2 * kPi * (t - quarter * 0.25), x2 = x * x;  // |x| <= pi / 4
  double c = 0, s = 0;
  for (int k = 18; k >= 2; k -= 2) {
    c = (1 - c) * x2 / (k * (k - 1));  // 1 - c is the series' tail: cos x = 1 - x^2/2! (1 - x^2/(3 4) (...))
    s = (1 - s) * x2 / (k * (k + 1));
  }
  c = 1 - c;
  s = x * (1 - s);
  switch (quarter & 3) {
    case 0: return {c, s};
    case 1: return {-s, c};
    case 2: return {-c, -s};
    default: return {s, -c};
  }
}

}  // namespace

std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 2> key, std::array<std::uint32_t, 4> c) noexcept {
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t p = std::uint64_t{0xd2511f53} * c[0], q = std::uint64_t{0xcd9e8d57} * c[2];
    c = {static_cast<std::uint32_t>(q >> 32) ^ c[1] ^ key[0], static_cast<std::uint32_t>(q),
         static_cast<std::uint32_t>(p >> 32) ^ c[3] ^ key[1], static_cast<std::uint32_t>(p)};
    key = {key[0] + 0x9e3779b9u, key[1] + 0xbb67ae85u};
  }
  return c;
}

std::array<std::uint32_t, 4> noise_words(std::uint64_t seed, std::uint64_t stream, std::uint64_t block) noexcept {
  auto low = [](std::uint64_t v) { return static_cast<std::uint32_t>(v); };
  return philox({low(seed), low(seed >> 32)}, {low(block), low(block >> 32), low(stream), low(stream >> 32)});
}

void normals(std::uint64_t seed, std::uint64_t stream, std::uint64_t first, std::int64_t n, float* out) noexcept {
  const std::uint64_t end = first + static_cast<std::uint64_t>(n);
  for (std::uint64_t block = first / 4; block * 4 < end; ++block) {
    const auto u = noise_words(seed, stream, block);
    float z[4];
    for (std::size_t j = 0; j < 4; j += 2) {
      const double radius = std::sqrt(-2 * log_of(uniform(u[j])));
      const auto [cos, sin] = direction(uniform(u[j + 1]));
      z[j] = static_cast<float>(radius * cos);
      z[j + 1] = static_cast<float>(radius * sin);
    }
    for (std::uint64_t j = 0; j < 4; ++j)
      if (const std::uint64_t i = block * 4 + j; i >= first && i < end) out[i - first] = z[j];
  }
}

}  // namespace flashrt
