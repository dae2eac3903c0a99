// SPDX-License-Identifier: Apache-2.0
// A block of zeroed, huge-page friendly memory handed out front to back; three exist: weights, state, temporaries.
#pragma once

#include <cstddef>

#include "flashrt/core/tensor.h"

namespace flashrt {

class Arena {
 public:
  static constexpr std::size_t kAlign = 64;

  Arena() = default;
  // Reserves address space; pages cost memory once touched. Throws Error when the reservation is refused.
  explicit Arena(std::size_t capacity);
  ~Arena();
  Arena(Arena&&) noexcept;
  Arena& operator=(Arena&&) noexcept;

  // Throws Error when `bytes` do not fit; the memory is zero.
  std::byte* allocate(std::size_t bytes);
  Tensor tensor(Shape, DType);
  Tensor packed(Shape, DType);  // a cleared packed right-hand side
  // Touches the first `bytes`, so that no page fault is left for a replay.
  void prefault(std::size_t bytes) const;

  std::byte* data() const { return data_; }
  std::size_t used() const { return used_; }
  std::size_t capacity() const { return capacity_; }

 private:
  std::byte* data_ = nullptr;
  std::size_t capacity_ = 0, used_ = 0;
};

}  // namespace flashrt
