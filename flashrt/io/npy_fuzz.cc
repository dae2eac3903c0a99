// SPDX-License-Identifier: Apache-2.0
// Fuzz target: any bytes are either refused with an Error or an array whose data is as large as its shape.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "flashrt/core/error.h"
#include "flashrt/io/npy.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    auto array = flashrt::parse_npy({reinterpret_cast<const std::byte*>(data), size}, "input");
    if (array.data.size() > size || array.floats().size() != static_cast<std::size_t>(array.elements())) std::abort();
  } catch (const flashrt::Error&) {
  }
  return 0;
}
