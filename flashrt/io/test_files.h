// SPDX-License-Identifier: Apache-2.0
// What the tests of readers share: a folder that vanishes, whole-file reads and writes, and the text of an Error.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>

#include "flashrt/core/error.h"

namespace flashrt::test {

class TempFolder {
 public:
  TempFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "flashrt_XXXXXX").string();
    path_ = mkdtemp(pattern.data());
  }
  ~TempFolder() { std::filesystem::remove_all(path_); }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;

  std::filesystem::path path(std::string_view name) const { return path_ / name; }
  std::filesystem::path write(std::string_view name, std::string_view bytes) const {
    std::ofstream(path(name), std::ios::binary) << bytes;
    return path(name);
  }
  std::string read(std::string_view name) const {
    std::ifstream file(path(name), std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// A safetensors file of the given header text, padded as it is, and data.
inline std::string safetensors_bytes(std::string_view header, std::string_view data) {
  std::string out;
  for (int i = 0; i < 8; ++i) out += static_cast<char>(std::uint64_t{header.size()} >> (8 * i));
  return out.append(header).append(data);
}

// What `action` throws; empty when it throws no Error.
template <class Action>
std::string error_text(Action&& action) {
  try {
    action();
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

inline void expect_error(const std::string& text, std::string_view cause) {
  EXPECT_NE(text, "") << "nothing was refused; expected: " << cause;
  EXPECT_NE(text.find(cause), text.npos) << "the text is: " << text << "\nexpected in it: " << cause;
}

}  // namespace flashrt::test
