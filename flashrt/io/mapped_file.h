// SPDX-License-Identifier: Apache-2.0
// A file mapped read-only into memory.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>

namespace flashrt {

class MappedFile {
 public:
  enum class Advice { will_need, dont_need };

  MappedFile() = default;
  // Throws Error naming the path when it is missing, not a regular file, empty, or not readable.
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(MappedFile&&) noexcept;
  MappedFile& operator=(MappedFile&&) noexcept;

  const std::string& name() const { return name_; }  // the path as it was given, for errors
  std::span<const std::byte> bytes() const { return {data_, size_}; }
  std::size_t size() const { return size_; }

  // A hint for bytes [offset, offset + count). will_need: maps the pages of the range in one go. dont_need: drops the
  // whole pages inside the range from this process; they come back from the page cache when touched again.
  void advise(std::size_t offset, std::size_t count, Advice) const noexcept;

 private:
  std::string name_;
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace flashrt
