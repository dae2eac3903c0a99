// SPDX-License-Identifier: Apache-2.0
#include "flashrt/backends/cpu/peaks.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <numeric>
#include <vector>

#include "flashrt/backends/cpu/features.h"
#include "flashrt/backends/cpu/peak_isa.h"
#include "flashrt/core/arena.h"

namespace flashrt::cpu {
namespace {

using Clock = std::chrono::steady_clock;
double seconds(Clock::time_point since) { return std::chrono::duration<double>(Clock::now() - since).count(); }

using Loop = double (*)(std::int64_t, float*) noexcept;
Loop loop_of(std::uint64_t features, DType math) {
  if (features & kAvx512)
    return math == DType::bf16 ? avx512::peak_bf16 : math == DType::i8 ? avx512::peak_i8 : avx512::peak_f32;
  if (features & kAvx2)
    return math == DType::bf16 ? avx2::peak_bf16 : math == DType::i8 ? avx2::peak_i8 : avx2::peak_f32;
  return math == DType::bf16 ? portable::peak_bf16 : math == DType::i8 ? portable::peak_i8 : portable::peak_f32;
}

double read_bandwidth(Device& device, const Arena& memory, std::size_t bytes) {
  int workers = device.info().workers;
  std::atomic<std::uint64_t> sink{0};
  auto start = Clock::now();
  device.parallel(workers, [&](int, std::int64_t part) {
    std::size_t first = bytes / 64 * static_cast<std::size_t>(part) / static_cast<std::size_t>(workers) * 8;
    std::size_t last = bytes / 64 * static_cast<std::size_t>(part + 1) / static_cast<std::size_t>(workers) * 8;
    const auto* words = reinterpret_cast<const std::uint64_t*>(memory.data());
    std::uint64_t sum[8] = {};
    for (std::size_t i = first; i < last; i += 8)
      for (std::size_t j = 0; j < 8; ++j) sum[j] += words[i + j];
    sink += sum[0] + sum[1] + sum[2] + sum[3] + sum[4] + sum[5] + sum[6] + sum[7];
  });
  return static_cast<double>(bytes) / seconds(start) / 1e9;
}

}  // namespace

MathRun run_math(Device& device, DType math, std::int64_t rounds) {
  Loop loop = loop_of(device.info().features, math);
  int workers = device.info().workers;
  std::vector<float> sink(static_cast<std::size_t>(workers) * 16);
  std::vector<double> operations(static_cast<std::size_t>(workers) * 8);
  auto start = Clock::now();
  device.parallel(workers, [&](int, std::int64_t i) {
    auto n = static_cast<std::size_t>(i);
    operations[n * 8] = loop(rounds, &sink[n * 16]);
  });
  return {seconds(start), std::accumulate(operations.begin(), operations.end(), 0.0)};
}

double measure_math_peak(Device& device, DType math) {
  // The best of some regions of milliseconds: what waking the workers costs must not count, and a core that was taken
  // away for a moment is no lower peak.
  constexpr int kRegions = 5;
  constexpr std::int64_t kRounds = 600'000;
  double best = 0;
  for (int region = 0; region < kRegions; ++region) {
    MathRun run = run_math(device, math, kRounds);
    best = std::max(best, run.operations / run.seconds / 1e9);
  }
  return best;
}

Peaks measure_peaks(Device& device, int rounds, std::size_t sweep_mib) {
  Peaks best;
  std::size_t bytes = sweep_mib << 20;
  Arena memory(bytes);
  memory.prefault(bytes);
  for (int i = 0; i < rounds; ++i) {
    best.f32 = std::max(best.f32, measure_math_peak(device, DType::f32));
    best.bf16 = std::max(best.bf16, measure_math_peak(device, DType::bf16));
    best.i8 = std::max(best.i8, measure_math_peak(device, DType::i8));
    best.dram_read = std::max(best.dram_read, read_bandwidth(device, memory, bytes));
  }
  return best;
}

}  // namespace flashrt::cpu
