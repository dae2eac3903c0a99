// SPDX-License-Identifier: Apache-2.0
#include "flashrt/backends/cpu/cores.h"

#include <fmt/format.h>
#include <sched.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <set>
#include <sstream>

namespace flashrt::cpu {
namespace {

std::string first_line(const std::filesystem::path& file) {
  std::ifstream in(file);
  std::string line;
  std::getline(in, line);
  return line;
}

std::optional<double> quota_in(const std::filesystem::path& folder) {
  double quota = 0, period = 0;
  std::istringstream both(first_line(folder / "cpu.max"));  // "200000 100000" or "max 100000"
  if (!(both >> quota >> period)) {
    std::istringstream(first_line(folder / "cpu.cfs_quota_us")) >> quota;  // -1: none
    std::istringstream(first_line(folder / "cpu.cfs_period_us")) >> period;
  }
  if (quota <= 0 || period <= 0) return {};
  return quota / period;
}

// The path of this process's group in the hierarchy whose controllers hold `controller` ("" for v2).
std::string group_of_process(std::string_view controller) {
  std::ifstream in("/proc/self/cgroup");  // lines "4:cpu,cpuacct:/docker/..." (v1) and "0::/..." (v2)
  for (std::string line; std::getline(in, line);) {
    std::size_t a = line.find(':'), b = line.find(':', a + 1);
    if (a == line.npos || b == line.npos) continue;
    std::string list = line.substr(a + 1, b - a - 1);
    if (controller.empty() ? list.empty()
                           : fmt::format(",{},", list).find(fmt::format(",{},", controller)) != list.npos)
      return line.substr(b + 1);
  }
  return "/";
}

}  // namespace

std::vector<int> cores_first(const std::vector<int>& cpus, const std::vector<std::string>& siblings) {
  std::vector<int> first, second;
  std::set<std::string> seen;
  for (std::size_t i = 0; i < cpus.size(); ++i)
    (siblings[i].empty() || seen.insert(siblings[i]).second ? first : second).push_back(cpus[i]);
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

namespace {

struct Allowed {
  std::vector<int> cpus;
  int cores = 1;
};

const Allowed& allowed() {
  static const Allowed all = [] {
    cpu_set_t set;
    CPU_ZERO(&set);
    if (::sched_getaffinity(0, sizeof(set), &set) != 0) return Allowed{{0}, 1};
    std::vector<int> cpus;
    std::vector<std::string> siblings;
    std::set<std::string> cores;
    for (int i = 0; i < CPU_SETSIZE; ++i) {
      if (!CPU_ISSET(static_cast<unsigned>(i), &set)) continue;
      cpus.push_back(i);
      siblings.push_back(first_line(fmt::format("/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list", i)));
      cores.insert(siblings.back().empty() ? fmt::format("cpu{}", i) : siblings.back());
    }
    return Allowed{cores_first(cpus, siblings), static_cast<int>(cores.size())};
  }();
  return all;
}

}  // namespace

const std::vector<int>& allowed_cores() { return allowed().cpus; }

int default_workers() {
  const int cores = allowed().cores;
  const double quota = cpu_quota().value_or(cores);
  return std::clamp(static_cast<int>(std::floor(quota + 0.01)), 1, cores);
}

std::optional<double> quota_of(const std::filesystem::path& root, const std::string& group) {
  std::optional<double> least;
  std::filesystem::path path = std::filesystem::path(group).relative_path();
  for (;;) {
    if (std::optional<double> q = quota_in(root / path)) least = std::min(*q, least.value_or(*q));
    if (path.empty()) return least;
    path = path.parent_path();
  }
}

std::optional<double> cpu_quota() {
  std::optional<double> v2 = quota_of("/sys/fs/cgroup", group_of_process(""));
  return v2 ? v2 : quota_of("/sys/fs/cgroup/cpu", group_of_process("cpu"));
}

}  // namespace flashrt::cpu
