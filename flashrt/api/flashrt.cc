// SPDX-License-Identifier: Apache-2.0
#include "flashrt/api/flashrt.h"

#include "flashrt/backends/cpu/cpu_device.h"
#include "flashrt/core/settings.h"
#include "flashrt/models/registry.h"

namespace flashrt {
namespace {

std::unique_ptr<Device> make_device(const LoadOptions& o) {
  const Settings& defaults = settings();
  auto kernels = defaults.kernels;
  for (const auto& [op, row] : o.kernels) kernels[op] = row;
  return cpu::make_device({.threads = o.threads ? o.threads : defaults.threads,
                           .pin = o.pin && defaults.pin,
                           .isa = o.isa.empty() ? defaults.isa : o.isa,
                           .kernel_overrides = kernels});
}

}  // namespace

Policy load_model(const std::filesystem::path& checkpoint, const LoadOptions& o) {
  std::unique_ptr<Device> device = make_device(o);
  auto model = find_model(o.config).load(*device, checkpoint, o);
  return {std::move(device), std::move(model), o.seed};
}

Policy random_model(const std::string& shape, const LoadOptions& o) {
  std::unique_ptr<Device> device = make_device(o);
  auto model = find_model(o.config).random(*device, shape, o);
  return {std::move(device), std::move(model), o.seed};
}

void save_random_model(const std::filesystem::path& folder, const std::string& shape, const LoadOptions& o) {
  find_model(o.config).save_random(folder, shape, o);
}

const char* version() { return "0.1.0"; }

}  // namespace flashrt
