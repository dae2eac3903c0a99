// SPDX-License-Identifier: Apache-2.0
// Fuzz target: any bytes are either refused with an Error or a file whose every tensor can be viewed and read.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "flashrt/core/error.h"
#include "flashrt/io/safetensors.h"

namespace {

// Reads every byte that a view promises.
void touch(const flashrt::SafetensorsFile& file, const std::string& name) {
  flashrt::Tensor view;
  try {
    view = file.view(name);
  } catch (const flashrt::Error&) {
    return;  // no such type, rank or alignment in the engine
  }
  volatile float sink = 0;
  for (std::int64_t i = 0; i < view.elements(); ++i) sink = flashrt::load_as_float(view.data, view.dtype, i);
  (void)sink;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // A copy of the exact size: reading beyond it is then found.
  std::vector<std::byte> bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>(data[i]);
  try {
    flashrt::SafetensorsSource source(flashrt::SafetensorsFile::open_memory(bytes, "input"));
    const flashrt::SafetensorsFile& file = source.files()[0];
    std::uint64_t total = 0;
    for (const auto& [name, info] : file.tensors()) {
      touch(file, name);
      total += info.end - info.begin;
      if (!flashrt::can_widen(info.type)) continue;
      std::vector<float> values(static_cast<std::size_t>(info.elements()));
      source.read_rows(name, 0, info.rows(), values.data());
    }
    if (total > size) std::abort();  // tensors that overlap
  } catch (const flashrt::Error&) {
  }
  return 0;
}
