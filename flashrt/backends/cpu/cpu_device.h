// SPDX-License-Identifier: Apache-2.0
// The CPU as a device: row selection facts, a crew, and replay of a flat launch list.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "flashrt/core/device.h"

namespace flashrt::cpu {

struct Options {
  int threads = 0;    // 0: default_workers() of cores.h
  bool pin = true;    // pin workers to cores; one worker runs on the calling thread, which is never pinned
  std::string isa{};  // "portable", "avx2", "avx512": rows above it are not used; empty: the best there is
  std::map<std::string, std::string, std::less<>> kernel_overrides{};  // see DeviceInfo
};

// Throws Error when the machine lacks what the options ask for.
std::unique_ptr<Device> make_device(const Options&);

}  // namespace flashrt::cpu
