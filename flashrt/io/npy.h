// SPDX-License-Identifier: Apache-2.0
// NumPy's .npy files: states and noise given by hand, actions written out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>
#include <vector>

#include "flashrt/io/stored_type.h"

namespace flashrt {

struct NpyArray {
  StoredType type = StoredType::f32;
  std::vector<std::int64_t> shape;
  std::vector<std::byte> data;  // packed, C order

  std::int64_t elements() const;
  std::vector<float> floats() const;
};

// Reads little-endian f32, f64, u8 and i64 in C order. Throws Error naming the file for anything else: other types and
// orders, pickled objects, headers that are not exactly numpy's, and data of another size than the shape's.
NpyArray read_npy(const std::filesystem::path& file);
NpyArray parse_npy(std::span<const std::byte> bytes, std::string_view name);

void write_npy(const std::filesystem::path& file, std::span<const std::int64_t> shape, std::span<const float> values);

}  // namespace flashrt
