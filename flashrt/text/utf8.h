// SPDX-License-Identifier: Apache-2.0
// UTF-8, decoded strictly.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

namespace flashrt {

struct CodePoint {
  char32_t value = 0;
  std::size_t bytes = 0;
};

// The code point that `text` starts with; nothing when it is empty or does not start with valid UTF-8 (overlong forms,
// surrogates and values above U+10FFFF are not valid).
std::optional<CodePoint> first_code_point(std::string_view text) noexcept;

bool is_utf8(std::string_view text) noexcept;

}  // namespace flashrt
