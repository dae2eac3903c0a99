// SPDX-License-Identifier: Apache-2.0
#include "flashrt/cli/report.h"

#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>

#include "flashrt/backends/cpu/features.h"

namespace flashrt::cli {

double figure(double value) { return std::strtod(fmt::format("{:.6g}", value).c_str(), nullptr); }

OrderedJson to_json(const LatencyStats& s) {
  return {{"count", s.count},           {"min_ms", figure(s.min_ms)}, {"mean_ms", figure(s.mean_ms)},
          {"p50_ms", figure(s.p50_ms)}, {"p95_ms", figure(s.p95_ms)}, {"p99_ms", figure(s.p99_ms)},
          {"max_ms", figure(s.max_ms)}};
}

OrderedJson to_json(const PolicyInfo& info, const DeviceInfo& device) {
  return {{"model", info.model},
          {"source", info.source},
          {"precision", info.precision},
          {"threads", device.workers},
          {"isa", cpu::feature_names(device.features)},
          {"cameras", info.cameras},
          {"state_dim", info.state_dim},
          {"action_dim", info.action_dim},
          {"model_action_dim", info.model_action_dim},
          {"horizon", info.horizon},
          {"steps", info.steps},
          {"parameters", info.parameters},
          {"weight_mib", figure(static_cast<double>(info.weight_bytes) / (1 << 20))},
          {"load_ms", figure(info.load_ms)},
          {"record_ms", figure(info.record_ms)},
          {"programs", info.programs}};
}

OrderedJson rows_json(std::span<const float> values, std::int64_t width) {
  OrderedJson rows = OrderedJson::array();
  auto w = static_cast<std::size_t>(width);
  for (std::size_t i = 0; i + w <= values.size(); i += w)
    rows.push_back(std::vector<float>(values.begin() + static_cast<std::ptrdiff_t>(i),
                                      values.begin() + static_cast<std::ptrdiff_t>(i + w)));
  return rows;
}

void print_json(const OrderedJson& json) {
  std::fputs((json.dump(2, ' ', false, OrderedJson::error_handler_t::replace) + "\n").c_str(), stdout);
}

std::string headline(const PolicyInfo& info, const DeviceInfo& device) {
  std::string isa = cpu::feature_names(device.features);
  return fmt::format("{} from {}, {}, {} thread{}, {}, cameras: {}", info.model, info.source, info.precision,
                     device.workers, device.workers == 1 ? "" : "s", isa.substr(isa.rfind(' ') + 1),
                     fmt::join(info.cameras, ", "));
}

}  // namespace flashrt::cli
