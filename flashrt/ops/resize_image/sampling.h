// SPDX-License-Identifier: Apache-2.0
// Where a resized frame lies and which source pixels make an output pixel: the arithmetic that must match Pillow and
// torch to the last bit, compiled once, fused multiply-adds only where written.
#pragma once

#include <cstdint>

#include "flashrt/ops/resize_image/resize_image.h"

namespace flashrt {

// The part of the output [H, W] that the frame covers. Height 0: none, all bars.
struct Fit {
  std::int64_t height = 0, width = 0, top = 0, left = 0;
};
Fit fit(const ImageView&, std::int64_t H, std::int64_t W) noexcept;

// Pillow: weights are multiples of 2^-22; a value is (2^21 + sum of pixel * weight) >> 22, which stays within 0..255.
inline constexpr int kWeightBits = 22;
// Most taps that an axis resized from `in` to `out` pixels has, and that any axis of a frame fitted into [H, W] has.
std::int64_t pillow_taps(std::int64_t in, std::int64_t out) noexcept;
std::int64_t pillow_most_taps(std::int64_t H, std::int64_t W) noexcept;
// Sets the first source pixel and the weights of output pixel `at`; returns their count.
std::int32_t pillow_weights(std::int64_t in, std::int64_t out, std::int64_t at, std::int32_t& first,
                            std::int32_t* weights) noexcept;

// torch: value = (1 - weight) * pixel[first] + weight * pixel[second].
struct Blend {
  std::int32_t first, second;
  float weight;
};
Blend torch_blend(std::int64_t in, std::int64_t out, std::int64_t at) noexcept;

}  // namespace flashrt
