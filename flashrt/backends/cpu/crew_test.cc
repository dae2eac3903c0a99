// SPDX-License-Identifier: Apache-2.0
#include "flashrt/backends/cpu/crew.h"

#include <gtest/gtest.h>
#include <immintrin.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <thread>
#include <vector>

#include "flashrt/backends/cpu/cores.h"
#include "flashrt/backends/cpu/cpu_device.h"
#include "flashrt/backends/cpu/features.h"
#include "flashrt/backends/cpu/peaks.h"
#include "flashrt/core/error.h"

namespace flashrt::cpu {
namespace {

// Adds one to every element of its own part, from the part a neighbour wrote in the launch before: wrong unless the
// barrier between two launches holds.
struct Shift {
  const std::vector<int>* from;
  std::vector<int>* to;
};
void shift(const void* args, const Exec& exec) noexcept {
  const auto& s = *static_cast<const Shift*>(args);
  auto n = static_cast<std::int64_t>(s.from->size());
  auto [first, last] = exec.share(n);
  for (std::int64_t i = first; i < last; ++i)
    (*s.to)[static_cast<std::size_t>(i)] = (*s.from)[static_cast<std::size_t>((i + n / 2) % n)] + 1;
}

TEST(Crew, BarriersOrderLaunches) {
  for (int workers : {1, 2, 3, 5}) {
    Crew crew(workers, false);
    std::vector<int> a(64), b(64);
    Shift forth{&a, &b}, back{&b, &a};
    std::vector<Launch> launches;
    for (int i = 0; i < 50; ++i) {
      launches.push_back({shift, &forth, true});
      launches.push_back({shift, &back, true});
    }
    std::vector<std::atomic<std::int32_t>> tickets(launches.size());
    for (int i = 0; i < 20; ++i) crew.run(launches, tickets.data(), nullptr, 0);
    for (int v : a) EXPECT_EQ(v, 2000);
  }
}

TEST(Crew, ClaimsEveryBlockOnce) {
  Crew crew(4, false);
  std::vector<std::atomic<int>> hits(1000);
  Launch launch{
      [](const void* args, const Exec& exec) noexcept {
        auto& h = *const_cast<std::vector<std::atomic<int>>*>(static_cast<const std::vector<std::atomic<int>>*>(args));
        for (std::int64_t i; (i = exec.claim()) < static_cast<std::int64_t>(h.size());)
          ++h[static_cast<std::size_t>(i)];
      },
      &hits, false};
  std::atomic<std::int32_t> ticket{0};
  for (int i = 0; i < 10; ++i) crew.run({&launch, 1}, &ticket, nullptr, 0);
  for (auto& h : hits) EXPECT_EQ(h, 10);
}

TEST(Crew, SurvivesAPeerThatIsLate) {
  Crew crew(2, false);
  Launch slow{[](const void*, const Exec& exec) noexcept {
                if (exec.worker == 1) std::this_thread::sleep_for(std::chrono::milliseconds(20));
              },
              nullptr, true};
  std::vector<Launch> launches(5, slow);
  std::vector<std::atomic<std::int32_t>> tickets(launches.size());
  auto start = std::chrono::steady_clock::now();
  crew.run(launches, tickets.data(), nullptr, 0);
  EXPECT_GE(std::chrono::steady_clock::now() - start, std::chrono::milliseconds(99));
}

// 1 / 3 and a denormal, as a launch computes them.
struct Computed {
  float third, small;
};
Computed computed_by(Crew& crew) {
  Computed c{};
  Launch launch{[](const void* args, const Exec& exec) noexcept {
                  volatile float one = 1, three = 3, least = 1e-38f;
                  if (exec.worker == 0)
                    *const_cast<Computed*>(static_cast<const Computed*>(args)) = {one / three, least / three};
                },
                &c, false};
  std::atomic<std::int32_t> ticket{0};
  crew.run({&launch, 1}, &ticket, nullptr, 0);
  return c;
}

TEST(Crew, TheCallersFloatModeDecidesNothing) {
  constexpr unsigned kUpAndFlushed = 0x1f80 | 0x4000 | 0x8040;
  for (int workers : {1, 2}) {
    Crew usual(workers, false);
    Computed expected = computed_by(usual);
    EXPECT_GT(expected.small, 0);
    const unsigned before = _mm_getcsr();
    _mm_setcsr(kUpAndFlushed);
    Crew crew(workers, false);
    Computed c = computed_by(crew);
    const unsigned after = _mm_getcsr();
    _mm_setcsr(before);
    EXPECT_EQ(c.third, expected.third);
    EXPECT_EQ(c.small, expected.small);
    EXPECT_EQ(after & ~0x3fu, kUpAndFlushed) << "the caller keeps its own";
  }
}

TEST(Crew, AForkedChildDropsItWithoutWaiting) {
  auto crew = std::make_unique<Crew>(2, false);
  pid_t child = fork();
  if (child == 0) {
    alarm(20);  // ends a child that waits
    crew.reset();
    _exit(0);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

TEST(Crew, LeavesTheCallersAffinityAlone) {
  cpu_set_t before, after;
  sched_getaffinity(0, sizeof(before), &before);
  auto device = make_device({.threads = static_cast<int>(allowed_cores().size())});
  device->parallel(8, [](int, std::int64_t) {});
  sched_getaffinity(0, sizeof(after), &after);
  EXPECT_TRUE(CPU_EQUAL(&before, &after));
}

TEST(CpuDevice, ParallelRethrowsAndStaysUsable) {
  auto device = make_device({.threads = 2, .pin = false});
  EXPECT_THROW(device->parallel(100, [](int, std::int64_t i) { require(i != 7, "item {}", i); }), Error);
  std::atomic<int> sum{0};
  device->parallel(100, [&](int, std::int64_t i) { sum += static_cast<int>(i); });
  EXPECT_EQ(sum, 4950);
}

TEST(CpuDevice, RefusesWhatTheMachineLacks) {
  EXPECT_THROW(make_device({.isa = "avx1024"}), Error);
  EXPECT_THROW(make_device({.threads = 4000}), Error);
  EXPECT_THROW(make_device({.threads = static_cast<int>(allowed_cores().size()) + 1}), Error);
  auto device = make_device({.threads = 1, .isa = "portable"});
  EXPECT_EQ(device->info().features, kPortable);
}

TEST(Features, HigherSetsImplyLowerOnes) {
  std::uint64_t f = detect_features();
  EXPECT_TRUE(f & kPortable);
  EXPECT_TRUE(!(f & kAvx512) || (f & kAvx2));
  EXPECT_EQ(feature_names(kPortable | kAvx2), "portable avx2");
}

TEST(Peaks, AreMeasured) {
  auto device = make_device({.threads = 1});
  Peaks p = measure_peaks(*device, 1, 16);
  for (double v : {p.f32, p.bf16, p.i8, p.dram_read}) EXPECT_GT(v, 0);
  EXPECT_EQ(p.of(DType::bf16), p.bf16);
}

}  // namespace
}  // namespace flashrt::cpu
