// SPDX-License-Identifier: Apache-2.0
// How an op's cpu.cc, compiled once a row set, becomes the op's kernel table.
//
// cpu.cc defines, inside `namespace flashrt::FLASHRT_ISA`, the rows of its set, best first:
//     std::span<const Kernel<Op>> rows(const Op*) { static constexpr Kernel<Op> k[] = {...}; return k; }
// and <op>.cc joins the sets with FLASHRT_CPU_ROWS(Op).
#pragma once

#include <span>
#include <vector>

#include "flashrt/backends/cpu/features.h"
#include "flashrt/core/op.h"

#if defined(FLASHRT_ISA_AVX512)
#define FLASHRT_ISA_NAME "avx512"
#define FLASHRT_ISA_FEATURE ::flashrt::cpu::kAvx512
#elif defined(FLASHRT_ISA_AVX2)
#define FLASHRT_ISA_NAME "avx2"
#define FLASHRT_ISA_FEATURE ::flashrt::cpu::kAvx2
#elif defined(FLASHRT_ISA_PORTABLE)
#define FLASHRT_ISA_NAME "portable"
#define FLASHRT_ISA_FEATURE ::flashrt::cpu::kPortable
#endif

#define FLASHRT_CPU_ROWS(Op)                                                                                       \
  namespace avx512 {                                                                                               \
  std::span<const Kernel<Op>> rows(const Op*);                                                                     \
  }                                                                                                                \
  namespace avx2 {                                                                                                 \
  std::span<const Kernel<Op>> rows(const Op*);                                                                     \
  }                                                                                                                \
  namespace portable {                                                                                             \
  std::span<const Kernel<Op>> rows(const Op*);                                                                     \
  }                                                                                                                \
  template <>                                                                                                      \
  std::span<const Kernel<Op>> cpu_kernels<Op>() {                                                                  \
    static const std::vector<Kernel<Op>> all = [] {                                                                \
      std::vector<Kernel<Op>> v;                                                                                   \
      for (auto set : {avx512::rows(static_cast<const Op*>(nullptr)), avx2::rows(static_cast<const Op*>(nullptr)), \
                       portable::rows(static_cast<const Op*>(nullptr))})                                           \
        v.insert(v.end(), set.begin(), set.end());                                                                 \
      return v;                                                                                                    \
    }();                                                                                                           \
    return all;                                                                                                    \
  }
