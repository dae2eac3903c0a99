// SPDX-License-Identifier: Apache-2.0
// Element types that checkpoint files hold: more than the engine computes with.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "flashrt/core/dtype.h"

namespace flashrt {

enum class StoredType : std::uint8_t {
  f64,
  f32,
  f16,
  bf16,
  f8_e4m3,
  f8_e5m2,
  f8_e8m0,
  f6_e2m3,
  f6_e3m2,
  f4,
  i64,
  i32,
  i16,
  i8,
  u64,
  u32,
  u16,
  u8,
  boolean,
  c64
};

std::string_view name(StoredType);  // as safetensors spells it: "F32", "BF16", "BOOL"
std::optional<StoredType> stored_type_from_name(std::string_view);
int bits(StoredType);

StoredType stored_type(DType);
std::optional<DType> dtype(StoredType);  // the engine's type with the same bits, where there is one

// Converts `n` packed elements to f32, rounding to nearest where they hold more; `src` may be unaligned.
bool can_widen(StoredType);
void widen(StoredType, const std::byte* src, std::int64_t n, float* out) noexcept;

// Converts `n` floats to a type that has a DType.
void narrow(const float* src, std::int64_t n, StoredType, std::byte* out) noexcept;

}  // namespace flashrt
