// SPDX-License-Identifier: Apache-2.0
// Fuzz target: any bytes are either refused with an Error or a document that reads the same after it is written.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "flashrt/core/error.h"
#include "flashrt/io/json.h"

namespace {

// Asks every value for every type: each getter answers or throws Error.
void visit(const flashrt::JsonReader& value) {
  auto attempt = [&](auto getter) {
    try {
      getter(value);
    } catch (const flashrt::Error&) {
    }
  };
  using Reader = flashrt::JsonReader;
  attempt([](const Reader& v) { v.integer(-5, 5); });
  attempt([](const Reader& v) { v.number(); });
  attempt([](const Reader& v) { v.boolean(); });
  attempt([](const Reader& v) { v.string(); });
  attempt([](const Reader& v) { v.only({"type", "steps"}); });
  attempt([](const Reader& v) { v.string_or("type", ""); });
  if (value.is_array())
    for (const Reader& element : value.elements()) visit(element);
  if (value.is_object())
    for (const auto& [key, member] : value.members()) visit(member);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    auto reader = flashrt::JsonReader::parse(text, "input", {.max_bytes = 1 << 16, .max_depth = 64});
    visit(reader);
    if (flashrt::parse_json(reader.json().dump(), "again") != reader.json()) std::abort();
  } catch (const flashrt::Error&) {
  }
  return 0;
}
