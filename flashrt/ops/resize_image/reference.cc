// SPDX-License-Identifier: Apache-2.0
// ResizeImage in plain loops: Pillow's two passes over the whole frame, torch's interpolation in double.
#include <vector>

#include "flashrt/ops/resize_image/resize_image.h"
#include "flashrt/ops/resize_image/sampling.h"

namespace flashrt {
namespace {

using Bytes = std::vector<std::uint8_t>;

float scaled(float unit) { return unit * 2.0f - 1.0f; }

// One pass of Pillow's resize, across (step 3, lines `pitch` apart) or down (step = row, lines 3 apart).
Bytes pillow_pass(const Bytes& from, std::int64_t lines, std::int64_t in, std::int64_t out, bool across) {
  Bytes to(static_cast<std::size_t>(lines * out * 3));
  std::vector<std::int32_t> weights(static_cast<std::size_t>(pillow_taps(in, out)));
  auto at = [&](std::int64_t line, std::int64_t i, std::int64_t n) {
    return static_cast<std::size_t>(across ? (line * n + i) * 3 : (i * lines + line) * 3);
  };
  for (std::int64_t o = 0; o < out; ++o) {
    std::int32_t first = 0;
    const std::int32_t count = pillow_weights(in, out, o, first, weights.data());
    for (std::int64_t line = 0; line < lines; ++line)
      for (std::size_t c = 0; c < 3; ++c) {
        std::int64_t sum = 1 << (kWeightBits - 1);
        for (std::int32_t j = 0; j < count; ++j)
          sum += std::int64_t{from[at(line, first + j, in) + c]} * weights[static_cast<std::size_t>(j)];
        to[at(line, o, out) + c] = static_cast<std::uint8_t>(sum >> kWeightBits);
      }
  }
  return to;
}

void pillow(const ResizeImage& op, const Fit& f) {
  const ImageView& v = *op.image;
  Bytes frame;
  for (std::int64_t y = 0; y < v.height; ++y)
    frame.insert(frame.end(), v.pixels + y * v.pitch, v.pixels + y * v.pitch + 3 * v.width);
  frame = pillow_pass(frame, v.height, v.width, f.width, true);
  frame = pillow_pass(frame, f.width, v.height, f.height, false);
  for (std::int64_t y = 0; y < f.height; ++y)
    for (std::int64_t i = 0; i < f.width * 3; ++i)
      op.y.row<float>(f.top + y)[f.left * 3 + i] =
          scaled(static_cast<float>(frame[static_cast<std::size_t>(y * f.width * 3 + i)]) / 255.0f);
}

void lerobot(const ResizeImage& op, const Fit& f) {
  const ImageView& v = *op.image;
  for (std::int64_t y = 0; y < f.height; ++y)
    for (std::int64_t x = 0; x < f.width; ++x)
      for (std::int64_t c = 0; c < 3; ++c) {
        const Blend down = torch_blend(v.height, f.height, y), right = torch_blend(v.width, f.width, x);
        auto pixel = [&](std::int32_t row, std::int32_t column) {
          return static_cast<double>(v.pixels[row * v.pitch + column * 3 + c]);
        };
        auto line = [&](std::int32_t row) {
          return (1.0 - right.weight) * pixel(row, right.first) + right.weight * pixel(row, right.second);
        };
        const double value = (1.0 - down.weight) * line(down.first) + down.weight * line(down.second);
        op.y.row<float>(f.top + y)[(f.left + x) * 3 + c] = static_cast<float>(value / 255.0 * 2.0 - 1.0);
      }
}

}  // namespace

void reference(const ResizeImage& op) {
  const std::int64_t H = op.y.dim(0), W = op.y.dim(1) / 3;
  const Fit f = fit(*op.image, H, W);
  for (std::int64_t y = 0; y < H; ++y)
    for (std::int64_t i = 0; i < W * 3; ++i) op.y.row<float>(y)[i] = op.pad;
  if (f.height == 0) return;
  if (op.rule == ResizeRule::pillow_pad)
    pillow(op, f);
  else
    lerobot(op, f);
}

}  // namespace flashrt
