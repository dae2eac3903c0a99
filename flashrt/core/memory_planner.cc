// SPDX-License-Identifier: Apache-2.0
#include "flashrt/core/memory_planner.h"

#include <algorithm>
#include <numeric>

namespace flashrt {

MemoryPlan plan_memory(const std::vector<Lifetime>& temps, std::size_t align) {
  std::vector<std::size_t> order(temps.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return temps[a].bytes > temps[b].bytes; });
  MemoryPlan plan{std::vector<std::size_t>(temps.size()), 0};
  std::vector<std::size_t> placed;  // by offset
  for (std::size_t t : order) {
    const Lifetime& life = temps[t];
    if (life.first < 0) continue;  // never accessed
    std::size_t at = 0;
    for (std::size_t p : placed) {
      if (temps[p].last < life.first || temps[p].first > life.last) continue;
      if (plan.offset[p] >= at + life.bytes) break;
      at = std::max(at, plan.offset[p] + temps[p].bytes);
      at = (at + align - 1) / align * align;
    }
    plan.offset[t] = at;
    plan.bytes = std::max(plan.bytes, at + life.bytes);
    placed.insert(std::upper_bound(placed.begin(), placed.end(), t,
                                   [&](std::size_t a, std::size_t b) { return plan.offset[a] < plan.offset[b]; }),
                  t);
  }
  plan.bytes = (plan.bytes + align - 1) / align * align;
  return plan;
}

}  // namespace flashrt
