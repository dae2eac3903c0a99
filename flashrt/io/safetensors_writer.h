// SPDX-License-Identifier: Apache-2.0
// Writes a safetensors file tensor by tensor, without holding it in memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "flashrt/io/tensor_source.h"

namespace flashrt {

// declare() every tensor, then append() the elements of each from its first to its last, tensors in any order, then
// finish(). The file appears under its name only then; a writer that is destroyed earlier leaves nothing behind.
class SafetensorsWriter {
 public:
  explicit SafetensorsWriter(std::filesystem::path file);
  ~SafetensorsWriter();
  SafetensorsWriter(const SafetensorsWriter&) = delete;
  SafetensorsWriter& operator=(const SafetensorsWriter&) = delete;

  void declare(std::string_view name, StoredType, std::vector<std::int64_t> shape);
  void metadata(std::string_view key, std::string_view value);

  void append(std::string_view name, std::span<const float> values);     // converted to the declared type
  void append_bytes(std::string_view name, std::span<const std::byte>);  // in the declared type already
  void finish();  // throws Error when a tensor is not complete, or the disk is full

 private:
  struct Entry {
    TensorInfo info;
    std::uint64_t written = 0;
  };
  Entry& entry(std::string_view name);
  void begin();
  void write_at(std::uint64_t offset, const std::byte* data, std::size_t count);

  std::filesystem::path path_, partial_;
  int fd_ = -1;
  std::uint64_t data_begin_ = 0;  // 0: the header is not written yet
  std::map<std::string, Entry, std::less<>> entries_;
  std::map<std::string, std::string> metadata_;
  std::vector<std::byte> buffer_;
};

}  // namespace flashrt
