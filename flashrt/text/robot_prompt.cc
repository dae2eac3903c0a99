// SPDX-License-Identifier: Apache-2.0
#include "flashrt/text/robot_prompt.h"

#include <algorithm>
#include <cmath>

#include "flashrt/core/error.h"
#include "flashrt/text/utf8.h"

namespace flashrt {
namespace {

// What Python's str.isspace() accepts.
bool is_space(char32_t c) {
  return (c >= 0x09 && c <= 0x0d) || (c >= 0x1c && c <= 0x20) || c == 0x85 || c == 0xa0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

// Bytes of `text` between white space on both sides; `text` is UTF-8.
std::string_view strip(std::string_view text) {
  std::size_t first = text.size(), last = 0;
  for (std::size_t at = 0; at < text.size();) {
    CodePoint point = *first_code_point(text.substr(at));
    if (!is_space(point.value)) {
      first = std::min(first, at);
      last = at + point.bytes;
    }
    at += point.bytes;
  }
  return first < last ? text.substr(first, last - first) : std::string_view();
}

template <class T>
std::vector<int> bins_of(std::span<const T> state) {
  std::vector<int> bins;
  for (std::size_t i = 0; i < state.size(); ++i) {
    require(std::isfinite(state[i]), "state[{}] is {}; the state must be finite numbers", i, state[i]);
    // A product by a power of two is exact, so that no value crosses an edge by rounding.
    double edge = std::floor(static_cast<double>(state[i]) * 128.0) + 128.0;
    bins.push_back(static_cast<int>(std::clamp(edge, -1.0, 255.0)));
  }
  return bins;
}

}  // namespace

std::string clean_task(std::string_view task) {
  require(is_utf8(task), "the task text is not valid UTF-8");
  std::string text(strip(task));
  std::replace(text.begin(), text.end(), '_', ' ');
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

std::vector<int> state_bins(std::span<const float> state) { return bins_of(state); }
std::vector<int> state_bins(std::span<const double> state) { return bins_of(state); }

std::string state_prompt(std::string_view task, std::span<const int> bins) {
  std::string numbers;
  for (int bin : bins) numbers.append(numbers.empty() ? "" : " ").append(std::to_string(bin));
  return fmt::format("Task: {}, State: {};\nAction: ", clean_task(task), numbers);
}

std::string plain_prompt(std::string_view task) { return clean_task(task); }

}  // namespace flashrt
