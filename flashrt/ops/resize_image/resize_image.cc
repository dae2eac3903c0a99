// SPDX-License-Identifier: Apache-2.0
#include "flashrt/ops/resize_image/resize_image.h"

#include <cmath>

#include "flashrt/ops/checks.h"
#include "flashrt/ops/cpu_rows.h"
#include "flashrt/ops/resize_image/sampling.h"

namespace flashrt {

void ResizeImage::check() const {
  require(image != nullptr, "image is null; it must be the address of an ImageView slot");
  check_matrix(y, "y", {DType::f32});
  require(y.dim(1) % 3 == 0, "y is {}; its width must be three channels a pixel", to_string(y));
  require(y.dim(0) <= kMaxSide && y.dim(1) <= 3 * kMaxSide, "y is {}; a side has at most {} pixels", to_string(y),
          kMaxSide);
  require(std::isfinite(pad), "pad is {}; it must be finite", pad);
}

// The pixels belong to the caller and are no memory of the program.
void ResizeImage::access(Accesses& a) const { a.writes(y); }

// The frame's size is not known yet: one pixel read and one tap a value is the least.
Cost ResizeImage::cost() const {
  const auto values = static_cast<double>(y.elements());
  return {.flops = 4 * values, .bytes = values + traffic(y)};
}

void check_image(const ImageView& image, std::int64_t height, std::int64_t width) {
  require(image.pixels != nullptr, "an image has no pixels");
  require(image.height >= 1 && image.width >= 1 && image.height <= ResizeImage::kMaxSide &&
              image.width <= ResizeImage::kMaxSide,
          "an image is {} x {} (height x width); each side must be 1 to {} pixels", image.height, image.width,
          ResizeImage::kMaxSide);
  require(image.pitch >= 3 * std::int64_t{image.width}, "an image {} pixels wide has rows {} bytes apart; they hold {}",
          image.width, image.pitch, 3 * std::int64_t{image.width});
  require(
      fit(image, height, width).height > 0,
      "an image of {} x {} (height x width) leaves no pixel when fitted into {} x {}; crop it to a less extreme shape",
      image.height, image.width, height, width);
}

FLASHRT_CPU_ROWS(ResizeImage)

}  // namespace flashrt
