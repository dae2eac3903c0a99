// SPDX-License-Identifier: Apache-2.0
// The measured ceilings of this machine: what every share of peak is held against.
#pragma once

#include "flashrt/core/device.h"
#include "flashrt/core/dtype.h"

namespace flashrt::cpu {

struct Peaks {
  double f32 = 0, bf16 = 0, i8 = 0;  // GFLOP/s or GOP/s, all workers of the device together; a multiply-add is 2
  double dram_read = 0;              // GB/s, one linear stream a worker
  double of(DType math) const { return math == DType::bf16 ? bf16 : math == DType::i8 ? i8 : f32; }
};

// Register-only dot-product loops of the best row set, and a sweep over `sweep_mib` of memory; best of `rounds`.
Peaks measure_peaks(Device&, int rounds = 5, std::size_t sweep_mib = 256);
// Runs one register-only dot-product loop of `rounds` on every worker: no memory, no barrier, no system call.
struct MathRun {
  double seconds = 0, operations = 0;
};
MathRun run_math(Device&, DType math, std::int64_t rounds);
// The arithmetic part alone, some tens of milliseconds: interleaved with benchmark runs on a shared machine.
double measure_math_peak(Device&, DType math);

}  // namespace flashrt::cpu
