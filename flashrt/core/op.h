// SPDX-License-Identifier: Apache-2.0
// What an op and a kernel are: an op is a plain struct of arguments that knows its accesses and its cost; a kernel is a
// row in the op's table.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <type_traits>
#include <vector>

#include "flashrt/core/device.h"
#include "flashrt/core/tensor.h"

namespace flashrt {

// The bound an op is judged by.
struct Cost {
  double flops = 0;         // a multiply-add is 2
  double bytes = 0;         // least traffic: every input and output once
  DType math = DType::f32;  // which arithmetic peak `flops` is held against
};

// The memory an op reads and writes; barriers, temporaries' lifetimes and checks are derived from it.
struct Access {
  Tensor tensor;
  bool write = false;
};
class Accesses {
 public:
  void reads(const Tensor& t) { add(t, false); }
  void writes(const Tensor& t) { add(t, true); }
  void updates(const Tensor& t) {
    add(t, false);
    add(t, true);
  }
  std::span<const Access> all() const { return list_; }

 private:
  void add(const Tensor& t, bool write) {
    if (t.data && t.elements() > 0) list_.push_back({t, write});
  }
  std::vector<Access> list_;
};

// What a kernel is told besides its op.
struct Exec {
  int worker = 0;  // CPU: this worker of `workers`
  int workers = 1;
  std::byte* scratch = nullptr;                 // this worker's own, of the size the row asked for, 64-byte aligned
  std::atomic<std::int32_t>* ticket = nullptr;  // this launch's shared counter, zero when the launch starts

  // The next unclaimed block of this launch, for work split into equal outputs; any order gives the same bits.
  std::int64_t claim() const noexcept { return ticket->fetch_add(1, std::memory_order_relaxed); }
  // This worker's part [first, last) of n outputs, cut at multiples of `grain`.
  struct Range {
    std::int64_t first, last;
  };
  Range share(std::int64_t n, std::int64_t grain = 1) const noexcept {
    std::int64_t blocks = (n + grain - 1) / grain;
    std::int64_t a = blocks * worker / workers * grain, b = blocks * (worker + 1) / workers * grain;
    return {a < n ? a : n, b < n ? b : n};
  }
};

// One implementation of Op. Rows are listed best first; the first that supports the op on the device is bound.
template <class Op>
struct Kernel {
  std::string_view name;                                 // "avx512", "portable": traces, tests, overrides
  bool (*supports)(const Op&, const DeviceInfo&);        // cold
  std::size_t (*scratch)(const Op&, const DeviceInfo&);  // bytes a worker needs; null: none
  void (*run)(const Op&, const Exec&) noexcept;          // CPU: this worker's share of the outputs
};

// The rows of Op on the CPU; each op's .cc defines its specialisation.
template <class Op>
std::span<const Kernel<Op>> cpu_kernels();

template <class Op>
std::span<const Kernel<Op>> kernels(Backend backend) {
  return backend == Backend::cpu ? cpu_kernels<Op>() : std::span<const Kernel<Op>>{};
}

class Recorder;

// An op has a name, arguments checked by check(), accesses and a cost; `reference(op)` is the definition of right.
template <class Op>
concept OpType = std::is_trivially_copyable_v<Op> && requires(const Op& op, Accesses& a) {
  { Op::name } -> std::convertible_to<std::string_view>;
  op.check();
  op.access(a);
  { op.cost() } -> std::same_as<Cost>;
  reference(op);
};
// An op that can be written as simpler ops while no fused row exists; false, and nothing recorded, where it cannot.
template <class Op>
concept Splittable = requires(const Op& op, Recorder& r) {
  { split(op, r) } -> std::same_as<bool>;
};

}  // namespace flashrt
