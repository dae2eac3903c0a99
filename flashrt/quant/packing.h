// SPDX-License-Identifier: Apache-2.0
// Rows of f32 weights into one packed panel (core/packed_rhs.h), quantised when the panel is i8.
#pragma once

#include <cstddef>
#include <cstdint>

#include "flashrt/core/dtype.h"

namespace flashrt {

// Packs `count` <= 32 rows [count, K] (row-major, finite) as the columns of one panel, the rest zero.
// i8: symmetric per row, w = round(x * 127 / max|x|); scale[i] = max|x| / 127 (1 for a row of zeros). f32 and bf16
// leave `scale` alone and it may be null. Throws Error for other dtypes.
void pack_panel(const float* rows, std::int64_t count, std::int64_t K, DType dtype, std::byte* panel, float* scale);

}  // namespace flashrt
