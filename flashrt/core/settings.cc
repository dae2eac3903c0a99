// SPDX-License-Identifier: Apache-2.0
#include "flashrt/core/settings.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <optional>

#include "flashrt/core/error.h"

namespace flashrt {
namespace {

constexpr SettingInfo kKnown[] = {
    {"FLASHRT_THREADS", "CPU workers; 0 or unset: one for every core this process may use"},
    {"FLASHRT_PIN", "1: pin workers to cores (the default); 0: do not"},
    {"FLASHRT_ISA", "highest instruction set to use: portable, avx2 or avx512"},
    {"FLASHRT_KERNELS", "op=row,op=row: the only kernel row allowed for an op"},
    {"FLASHRT_TOKENIZER", "SentencePiece file for checkpoints that have none beside them"},
};

}  // namespace

void parse_kernels(std::string_view text, std::string_view what,
                   std::map<std::string, std::string, std::less<>>& kernels) {
  while (!text.empty()) {
    std::string_view item = text.substr(0, text.find(','));
    text.remove_prefix(std::min(text.size(), item.size() + 1));
    std::size_t equals = item.find('=');
    require(equals != std::string_view::npos && equals > 0 && equals + 1 < item.size(),
            "{}: \"{}\" must be OP=ROW, such as mat_mul=avx2", what, item);
    kernels[std::string(item.substr(0, equals))] = std::string(item.substr(equals + 1));
  }
}

Settings Settings::read(const std::function<const char*(const char*)>& lookup) {
  Settings s;
  auto text = [&](const char* name) -> std::optional<std::string_view> {
    const char* value = lookup(name);
    if (!value || !*value) return {};
    return value;
  };
  if (auto value = text("FLASHRT_THREADS")) {
    auto [end, error] = std::from_chars(value->data(), value->data() + value->size(), s.threads);
    require(error == std::errc() && end == value->data() + value->size() && s.threads >= 0,
            "FLASHRT_THREADS=\"{}\" must be a number of threads, or 0 for every core", *value);
  }
  if (auto value = text("FLASHRT_PIN")) {
    require(*value == "0" || *value == "1", "FLASHRT_PIN=\"{}\" must be 0 or 1", *value);
    s.pin = *value == "1";
  }
  if (auto value = text("FLASHRT_ISA")) s.isa = *value;
  if (auto value = text("FLASHRT_KERNELS")) parse_kernels(*value, "FLASHRT_KERNELS", s.kernels);
  if (auto value = text("FLASHRT_TOKENIZER")) s.tokenizer = *value;
  return s;
}

const Settings& settings() {
  static const Settings s = Settings::read([](const char* name) -> const char* { return std::getenv(name); });
  return s;
}

std::span<const SettingInfo> known_settings() { return kKnown; }

std::vector<std::string> unknown_settings() {
  std::vector<std::string> unknown;
  for (char** entry = environ; entry && *entry; ++entry) {
    std::string_view name(*entry);
    name = name.substr(0, name.find('='));
    bool known = std::any_of(std::begin(kKnown), std::end(kKnown), [&](const auto& k) { return k.variable == name; });
    if (name.starts_with("FLASHRT_") && !known) unknown.emplace_back(name);
  }
  std::sort(unknown.begin(), unknown.end());
  return unknown;
}

}  // namespace flashrt
