// SPDX-License-Identifier: Apache-2.0
// Which processors this process may use, and for how much of their time.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace flashrt::cpu {

// Processors this process could run on when it first asked (containers and taskset are honoured): one of every core
// first, ascending, then their hyper-thread siblings. Workers are pinned in this order.
const std::vector<int>& allowed_cores();
// Workers where none are asked for: the cores among them, but no more than the container's quota has time for.
int default_workers();

// Processors' worth of time that the control groups above this process allow; unset: no limit.
std::optional<double> cpu_quota();

// What they are made of, on files of the kernel's formats.
// One of every core first; `siblings(cpu)` is the text of its thread_siblings_list, empty where unknown.
std::vector<int> cores_first(const std::vector<int>& cpus, const std::vector<std::string>& siblings);
// The least quota of `group` ("/a/b") and the groups above it, from cgroup v2's cpu.max or v1's cpu.cfs_*_us in `root`.
std::optional<double> quota_of(const std::filesystem::path& root, const std::string& group);

}  // namespace flashrt::cpu
