// SPDX-License-Identifier: Apache-2.0
#include "flashrt/ops/resize_image/sampling.h"

#include <algorithm>
#include <cmath>

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#elif defined(__GNUC__)
#pragma GCC optimize("fp-contract=off")
#endif

namespace flashrt {

Fit fit(const ImageView& image, std::int64_t H, std::int64_t W) noexcept {
  const double h = image.height, w = image.width;
  if (!image.pixels || h < 1 || w < 1 || h > ResizeImage::kMaxSide || w > ResizeImage::kMaxSide) return {};
  // In double and truncated, as both references do: h / (h / H) may come out a pixel short.
  const double ratio = std::max(w / static_cast<double>(W), h / static_cast<double>(H));
  Fit f{.height = static_cast<std::int64_t>(h / ratio), .width = static_cast<std::int64_t>(w / ratio)};
  if (f.height < 1 || f.width < 1) return {};
  f.top = (H - f.height) / 2;
  f.left = (W - f.width) / 2;
  return f;
}

// Shrinking widens the triangle filter by the factor `in / out`; enlarging leaves it at one pixel to each side.
std::int64_t pillow_taps(std::int64_t in, std::int64_t out) noexcept {
  const double support = std::max(static_cast<double>(in) / static_cast<double>(out), 1.0);
  return static_cast<std::int64_t>(std::ceil(support)) * 2 + 1;
}

std::int64_t pillow_most_taps(std::int64_t H, std::int64_t W) noexcept {
  // A side is divided by at most ratio = kMaxSide / min(H, W) and truncated to at least 1, so by less than 2 ratio.
  return pillow_taps(std::min(2 * ResizeImage::kMaxSide, ResizeImage::kMaxSide * std::min(H, W)), std::min(H, W));
}

std::int32_t pillow_weights(std::int64_t in, std::int64_t out, std::int64_t at, std::int32_t& first,
                            std::int32_t* weights) noexcept {
  const double scale = static_cast<double>(in) / static_cast<double>(out);
  const double support = std::max(scale, 1.0), inverse = 1.0 / support;
  const double center = (static_cast<double>(at) + 0.5) * scale;
  const int begin = std::max(static_cast<int>(center - support + 0.5), 0);
  const int end = std::min(static_cast<int>(center + support + 0.5), static_cast<int>(in));
  auto triangle = [&](int x) {
    const double distance = std::fabs((x - center + 0.5) * inverse);
    return distance < 1.0 ? 1.0 - distance : 0.0;
  };
  double total = 0;
  for (int x = begin; x < end; ++x) total += triangle(x);
  for (int x = begin; x < end; ++x)
    weights[x - begin] = static_cast<std::int32_t>(0.5 + triangle(x) / total * (1 << kWeightBits));
  first = begin;
  return end - begin;
}

Blend torch_blend(std::int64_t in, std::int64_t out, std::int64_t at) noexcept {
  const float scale = static_cast<float>(in) / static_cast<float>(out);
  // torch's x86 build fuses this one; unfused, pixels of 360 x 270 frames move by up to 3e-5.
  const float source = std::max(std::fma(scale, static_cast<float>(at) + 0.5f, -0.5f), 0.0f);
  const auto last = static_cast<std::int32_t>(in - 1);
  const std::int32_t first = std::min(static_cast<std::int32_t>(source), last);
  return {first, std::min(first + 1, last), std::min(source - static_cast<float>(first), 1.0f)};
}

}  // namespace flashrt
