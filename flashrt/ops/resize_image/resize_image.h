// SPDX-License-Identifier: Apache-2.0
// Fits a camera frame into the model's image, centred between bars, and scales it to [-1, 1].
#pragma once

#include "flashrt/core/op.h"

namespace flashrt {

// A frame that somebody else owns: 8-bit RGB rows, channels innermost.
struct ImageView {
  const std::uint8_t* pixels = nullptr;  // null: no camera; the model's image is all bars
  std::int32_t height = 0, width = 0;
  std::int64_t pitch = 0;  // bytes from row to row
};

enum class ResizeRule : std::uint8_t {
  lerobot_pad,  // bilinear in f32 without antialiasing, as torch's interpolate(align_corners=False)
  pillow_pad,   // antialiased bilinear in fixed point, bit for bit Pillow's; unchanged when the size is right already
};

struct ResizeImage {
  static constexpr std::string_view name = "resize_image";
  static constexpr std::int64_t kMaxSide = 8192;  // of a frame
  const ImageView* image = nullptr;  // read when the program runs; the session has passed it to check_image()
  Tensor y;                          // [H, W * 3] f32
  ResizeRule rule = ResizeRule::lerobot_pad;
  float pad = -1;  // value of the bars, after scaling

  void check() const;
  void access(Accesses&) const;
  Cost cost() const;
};
void reference(const ResizeImage&);

// Throws Error unless a frame has pixels, sides that ResizeImage takes, and a shape that leaves at least one pixel when
// fitted into `height` x `width`. A replay that is given such a frame all the same treats it as no camera.
void check_image(const ImageView&, std::int64_t height, std::int64_t width);

}  // namespace flashrt
