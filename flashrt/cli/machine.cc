// SPDX-License-Identifier: Apache-2.0
#include "flashrt/cli/machine.h"

#include <algorithm>
#include <fstream>

namespace flashrt::cli {
namespace {

// The number behind `key` in a file of lines such as "VmHWM:   1234 kB", in MiB; 0 where there is none.
double mib_of(const char* file, std::string_view key) {
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);)
    if (line.starts_with(key)) return std::strtod(line.c_str() + key.size(), nullptr) / 1024;
  return 0;
}

}  // namespace

std::string first_line(const char* file) {
  std::ifstream in(file);
  std::string line;
  std::getline(in, line);
  return line;
}

Memory memory() {
  Memory m{.total_mib = mib_of("/proc/meminfo", "MemTotal:"),
           .available_mib = mib_of("/proc/meminfo", "MemAvailable:")};
  std::string limit = first_line("/sys/fs/cgroup/memory.max");
  if (limit.empty() || limit == "max") return m;
  constexpr double kMib = 1 << 20;
  double most = std::strtod(limit.c_str(), nullptr) / kMib;
  double used = std::strtod(first_line("/sys/fs/cgroup/memory.current").c_str(), nullptr) / kMib;
  m.total_mib = std::min(m.total_mib, most);
  m.available_mib = std::min(m.available_mib, std::max(0.0, most - used));
  return m;
}

double peak_rss_mib() { return mib_of("/proc/self/status", "VmHWM:"); }

std::string huge_pages() {
  std::string line = first_line("/sys/kernel/mm/transparent_hugepage/enabled");
  std::size_t open = line.find('['), close = line.find(']');
  return open == std::string::npos || close == std::string::npos ? "" : line.substr(open + 1, close - open - 1);
}

}  // namespace flashrt::cli
