// SPDX-License-Identifier: Apache-2.0
#include "flashrt/text/utf8.h"

#include <bit>

namespace flashrt {

std::optional<CodePoint> first_code_point(std::string_view text) noexcept {
  if (text.empty()) return std::nullopt;
  auto lead = static_cast<unsigned char>(text[0]);
  if (lead < 0x80) return CodePoint{lead, 1};
  auto length = static_cast<std::size_t>(std::countl_one(lead));
  if (length < 2 || length > 4 || text.size() < length) return std::nullopt;
  char32_t value = lead & (0x7fu >> length);
  for (std::size_t i = 1; i < length; ++i) {
    auto c = static_cast<unsigned char>(text[i]);
    if ((c & 0xc0) != 0x80) return std::nullopt;
    value = value << 6 | (c & 0x3fu);
  }
  constexpr char32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
  if (value < kSmallest[length] || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff)) return std::nullopt;
  return CodePoint{value, length};
}

bool is_utf8(std::string_view text) noexcept {
  while (!text.empty()) {
    auto point = first_code_point(text);
    if (!point) return false;
    text.remove_prefix(point->bytes);
  }
  return true;
}

}  // namespace flashrt
