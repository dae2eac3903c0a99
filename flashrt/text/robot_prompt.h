// SPDX-License-Identifier: Apache-2.0
// The texts that robot policies are prompted with: a cleaned task, and the state as numbers from -1 to 255.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace flashrt {

// Python's strip() (all Unicode white space), then `_` and newlines become spaces. In this order: "hello_" keeps a
// space at its end. Throws Error when `task` is not UTF-8.
std::string clean_task(std::string_view task);

// Bins of a normalised state: bin b holds [-1 + b/128, -1 + (b+1)/128); below is -1, above is 255. Exact for any value.
// Throws Error naming the first dimension that is not finite.
std::vector<int> state_bins(std::span<const float> state);
std::vector<int> state_bins(std::span<const double> state);

// "Task: {cleaned}, State: {bins};\nAction: "
std::string state_prompt(std::string_view task, std::span<const int> bins);
// The cleaned task alone; the newline behind it is encoded separately.
std::string plain_prompt(std::string_view task);

}  // namespace flashrt
