// SPDX-License-Identifier: Apache-2.0
#include "flashrt/api/flashrt.h"

#include <functional>
#include <set>

#include "flashrt/backends/cpu/cpu_device.h"
#include "flashrt/core/settings.h"
#include "flashrt/models/registry.h"

namespace flashrt {
namespace {

std::unique_ptr<Device> make_device(const LoadOptions& o) {
  const Settings& defaults = settings();
  require(o.threads >= 0, "{} threads asked for; give a number from 1, or 0 for every core", o.threads);
  auto kernels = defaults.kernels;
  for (const auto& [op, row] : o.kernels) kernels[op] = row;
  return cpu::make_device({.threads = o.threads ? o.threads : defaults.threads,
                           .pin = o.pin && defaults.pin,
                           .isa = o.isa.empty() ? defaults.isa : o.isa,
                           .kernel_overrides = kernels});
}

// An override that names no op of the model would change nothing, unnoticed.
void check_overrides(const DeviceInfo& device, PolicyModel& model) {
  if (device.kernel_overrides.empty()) return;
  std::set<std::string_view> ops;
  Program program = model.record(1, 1, Reading::fast);
  for (const Step& step : program.steps()) ops.insert(step.op);
  for (const auto& [op, row] : device.kernel_overrides)
    require(op == "*" || ops.contains(op), "kernel {}={}: the model has no op \"{}\"; it has: {}", op, row, op,
            fmt::join(ops, ", "));
}

Policy make_policy(const LoadOptions& o, const std::function<std::unique_ptr<PolicyModel>(Device&)>& make) {
  std::unique_ptr<Device> device = make_device(o);
  const auto& overrides = device->info().kernel_overrides;
  try {
    std::unique_ptr<PolicyModel> model = make(*device);
    check_overrides(device->info(), *model);
    return {std::move(device), std::move(model), o.seed};
  } catch (const Error& e) {
    // Most likely the cause, when no kernel is left that takes an op.
    if (overrides.empty()) throw;
    std::string list;
    for (const auto& [op, row] : overrides) list += fmt::format("{}{}={}", list.empty() ? "" : ", ", op, row);
    fail("{} (loading with the kernels {} alone)", e.what(), list);
  }
}

}  // namespace

Policy load_model(const std::filesystem::path& checkpoint, const LoadOptions& o) {
  return make_policy(o, [&](Device& device) { return find_model(o.config).load(device, checkpoint, o); });
}

Policy random_model(const std::string& shape, const LoadOptions& o) {
  return make_policy(o, [&](Device& device) { return find_model(o.config).random(device, shape, o); });
}

void save_random_model(const std::filesystem::path& folder, const std::string& shape, const LoadOptions& o) {
  find_model(o.config).save_random(folder, shape, o);
}

const char* version() { return "0.1.0"; }

}  // namespace flashrt
