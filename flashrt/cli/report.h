// SPDX-License-Identifier: Apache-2.0
// JSON parts that several commands write.
#pragma once

#include <span>
#include <string>

#include <nlohmann/json.hpp>

#include "flashrt/session/policy.h"

namespace flashrt::cli {

using OrderedJson = nlohmann::ordered_json;

// Six significant digits: figures of a report, not results.
double figure(double value);
OrderedJson to_json(const LatencyStats&);
// Model, source, precision, threads, cameras, widths, and what loading took.
OrderedJson to_json(const PolicyInfo&, const DeviceInfo&);
// One array a row of `width` values.
OrderedJson rows_json(std::span<const float> values, std::int64_t width);
void print_json(const OrderedJson&);
// "pi05 from DIR, bf16, 2 threads, avx512, cameras: base, wrist"
std::string headline(const PolicyInfo&, const DeviceInfo&);

}  // namespace flashrt::cli
