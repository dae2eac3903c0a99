// SPDX-License-Identifier: Apache-2.0
// Everything the engine reads from the environment, in one place: defaults for options that a caller leaves open.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace flashrt {

struct Settings {
  int threads = 0;                                            // FLASHRT_THREADS
  bool pin = true;                                            // FLASHRT_PIN
  std::string isa{};                                          // FLASHRT_ISA
  std::map<std::string, std::string, std::less<>> kernels{};  // FLASHRT_KERNELS
  std::filesystem::path tokenizer{};                          // FLASHRT_TOKENIZER

  // `lookup` gives a variable's text, or null. Throws Error naming the variable and what it takes.
  static Settings read(const std::function<const char*(const char* name)>& lookup);
};

// The environment's, read once. Throws Error.
const Settings& settings();

struct SettingInfo {
  std::string_view variable, meaning;
};
std::span<const SettingInfo> known_settings();
// Variables that start with FLASHRT_ and mean nothing to the engine: most likely misspelt.
std::vector<std::string> unknown_settings();

// Parses "op=row,op=row" into `kernels`; `what` names the text in errors.
void parse_kernels(std::string_view text, std::string_view what,
                   std::map<std::string, std::string, std::less<>>& kernels);

}  // namespace flashrt
