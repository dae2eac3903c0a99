// SPDX-License-Identifier: Apache-2.0
// A value at a fixed address: the only thing that changes between replays.
#pragma once

#include <type_traits>

#include "flashrt/core/arena.h"

namespace flashrt {

template <class T>
class Slot {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  Slot() = default;
  explicit Slot(Arena& state) : value_(reinterpret_cast<T*>(state.allocate(sizeof(T)))) { *value_ = T{}; }
  void set(const T& value) noexcept { *value_ = value; }
  const T& get() const noexcept { return *value_; }
  const T* address() const noexcept { return value_; }  // what an op holds and reads at each replay

 private:
  T* value_ = nullptr;
};

}  // namespace flashrt
