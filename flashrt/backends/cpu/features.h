// SPDX-License-Identifier: Apache-2.0
// What the processor can do, as bits of DeviceInfo::features, and which of the three sets of CPU rows it can run.
#pragma once

#include <cstdint>
#include <string>

#include "flashrt/core/device.h"

namespace flashrt::cpu {

// One bit a row set: the machine has every instruction that set is compiled with.
enum Feature : std::uint64_t {
  kPortable = 1,  // any x86-64
  kAvx2 = 2,      // AVX2, FMA, F16C
  kAvx512 = 4,    // AVX-512 F, BW, DQ, VL, BF16, VNNI
};

// Detected with cpuid, including that the operating system saves the registers.
std::uint64_t detect_features();
// "portable avx2 avx512"
std::string feature_names(std::uint64_t features);
// Model name, cache sizes and cores that this process may use.
DeviceInfo detect();
}  // namespace flashrt::cpu
