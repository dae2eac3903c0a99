// SPDX-License-Identifier: Apache-2.0
#include "flashrt/backends/cpu/features.h"

#include <cpuid.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "flashrt/backends/cpu/cores.h"

namespace flashrt::cpu {
namespace {

std::string brand() {
  unsigned r[12] = {};
  unsigned top = __get_cpuid_max(0x80000000u, nullptr);
  if (top < 0x80000004u) return "x86-64";
  for (unsigned i = 0; i < 3; ++i) __get_cpuid(0x80000002u + i, &r[4 * i], &r[4 * i + 1], &r[4 * i + 2], &r[4 * i + 3]);
  char text[49] = {};
  std::memcpy(text, r, 48);
  std::string s(text);
  s.erase(0, s.find_first_not_of(' '));
  s.erase(s.find_last_not_of(' ') + 1);
  return s;
}

std::size_t cache(int name, std::size_t fallback) {
  long n = ::sysconf(name);
  return n > 0 ? static_cast<std::size_t>(n) : fallback;
}

}  // namespace

std::uint64_t detect_features() {
  // __builtin_cpu_supports also checks that the operating system saves the wide registers.
  __builtin_cpu_init();
  std::uint64_t f = kPortable;
  unsigned a = 0, b = 0, c = 0, d = 0;
  bool f16c = __get_cpuid(1, &a, &b, &c, &d) && (c & (1u << 29));
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && f16c) f |= kAvx2;
  bool bf16 = __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & (1u << 5));
  if ((f & kAvx2) && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512vnni") && bf16)
    f |= kAvx512;
  return f;
}

std::string feature_names(std::uint64_t f) {
  std::string s = "portable";
  if (f & kAvx2) s += " avx2";
  if (f & kAvx512) s += " avx512";
  return s;
}

DeviceInfo detect() {
  DeviceInfo info;
  info.backend = Backend::cpu;
  info.model = brand();
  info.features = detect_features();
  info.workers = default_workers();
  info.l2_bytes = cache(_SC_LEVEL2_CACHE_SIZE, std::size_t{1} << 20);
  info.l3_bytes = cache(_SC_LEVEL3_CACHE_SIZE, 0);
  return info;
}

}  // namespace flashrt::cpu
