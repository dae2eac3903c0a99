// SPDX-License-Identifier: Apache-2.0
// The decoders behind decode_image(); the first bytes have told the format.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "flashrt/io/image.h"

namespace flashrt {

Image decode_jpeg(std::span<const std::byte> bytes, std::string_view name, int max_side);
Image decode_png(std::span<const std::byte> bytes, std::string_view name, int max_side);

// Throws Error when a side is out of range; called before memory is taken for the pixels.
void check_image_size(std::string_view name, std::int64_t height, std::int64_t width, int max_side);

}  // namespace flashrt
