// SPDX-License-Identifier: Apache-2.0
// JPEG and PNG files as RGB pixels.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>
#include <vector>

namespace flashrt {

struct Image {
  std::vector<std::uint8_t> pixels;  // [height, width, 3]
  int height = 0, width = 0;
};

inline constexpr int kMaxImageSide = 8192;

// Decodes as Pillow's open().convert("RGB") does: grey is repeated, palettes are looked up, alpha is dropped, the upper
// byte of 16-bit samples is kept, and neither gamma nor orientation marks are applied. Throws Error naming the file for
// what is neither JPEG nor PNG, is cut or damaged (also where a decoder would only warn), is CMYK, or has a side above
// `max_side`.
Image read_image(const std::filesystem::path& file, int max_side = kMaxImageSide);
Image decode_image(std::span<const std::byte> bytes, std::string_view name, int max_side = kMaxImageSide);

}  // namespace flashrt
