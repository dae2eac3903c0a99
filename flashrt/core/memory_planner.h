// SPDX-License-Identifier: Apache-2.0
// Places temporaries with known lifetimes into one block, sharing bytes between those that never live together.
#pragma once

#include <cstddef>
#include <vector>

#include "flashrt/core/tensor.h"

namespace flashrt {

struct Lifetime {
  std::size_t bytes = 0;
  std::int64_t first = -1, last = -1;  // steps of first and last access; -1: never accessed
  Shape shape;                         // for the check that both readings made the same calls
  DType dtype = DType::f32;
};

struct MemoryPlan {
  std::vector<std::size_t> offset;  // one a temporary
  std::size_t bytes = 0;            // size of the block
};

// Largest first, each at the lowest offset that is free during its whole life.
MemoryPlan plan_memory(const std::vector<Lifetime>&, std::size_t align);

}  // namespace flashrt
