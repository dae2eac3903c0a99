// SPDX-License-Identifier: Apache-2.0
// Fuzz target: any bytes are either refused with an Error or give as many pixels as the sides say.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "flashrt/core/error.h"
#include "flashrt/io/image.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr int kSide = 256;  // larger ones only take time
  try {
    auto image = flashrt::decode_image({reinterpret_cast<const std::byte*>(data), size}, "input", kSide);
    bool sides = image.height > 0 && image.width > 0 && image.height <= kSide && image.width <= kSide;
    auto pixels = static_cast<std::size_t>(image.height) * static_cast<std::size_t>(image.width);
    if (!sides || image.pixels.size() != pixels * 3) std::abort();
  } catch (const flashrt::Error&) {
  }
  return 0;
}
