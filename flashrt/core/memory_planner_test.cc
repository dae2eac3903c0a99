// SPDX-License-Identifier: Apache-2.0
#include "flashrt/core/memory_planner.h"

#include <gtest/gtest.h>

#include <random>

namespace flashrt {
namespace {

Lifetime life(std::size_t bytes, std::int64_t first, std::int64_t last) {
  Lifetime l;
  l.bytes = bytes;
  l.first = first;
  l.last = last;
  return l;
}

TEST(MemoryPlanner, SharesBytesBetweenThoseThatNeverMeet) {
  MemoryPlan p = plan_memory({life(100, 0, 1), life(100, 2, 3), life(50, 1, 2)}, 64);
  EXPECT_EQ(p.offset[0], p.offset[1]);
  EXPECT_GE(p.offset[2], 100u);
  EXPECT_LE(p.bytes, 192u);
}

TEST(MemoryPlanner, NeverOverlapsTwoThatLiveTogether) {
  std::mt19937 random(7);
  for (int round = 0; round < 50; ++round) {
    std::vector<Lifetime> temps;
    std::size_t live_most = 0;
    for (int i = 0; i < 60; ++i) {
      std::int64_t first = static_cast<std::int64_t>(random() % 100);
      temps.push_back(life(1 + random() % 5000, first, first + static_cast<std::int64_t>(random() % 20)));
    }
    MemoryPlan p = plan_memory(temps, 64);
    for (std::size_t i = 0; i < temps.size(); ++i) {
      EXPECT_EQ(p.offset[i] % 64, 0u);
      EXPECT_LE(p.offset[i] + temps[i].bytes, p.bytes);
      for (std::size_t j = 0; j < i; ++j) {
        bool together = temps[i].first <= temps[j].last && temps[j].first <= temps[i].last;
        bool apart = p.offset[i] + temps[i].bytes <= p.offset[j] || p.offset[j] + temps[j].bytes <= p.offset[i];
        EXPECT_TRUE(!together || apart) << i << " " << j;
      }
    }
    for (std::int64_t t = 0; t < 120; ++t) {
      std::size_t live = 0;
      for (const Lifetime& l : temps) live += l.first <= t && t <= l.last ? l.bytes : 0;
      live_most = std::max(live_most, live);
    }
    EXPECT_LT(p.bytes, 2 * live_most);  // close to the least possible
  }
}

TEST(MemoryPlanner, GivesNothingToWhatIsNeverUsed) { EXPECT_EQ(plan_memory({Lifetime{}}, 64).bytes, 0u); }

}  // namespace
}  // namespace flashrt
