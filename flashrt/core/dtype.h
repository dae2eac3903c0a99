// SPDX-License-Identifier: Apache-2.0
// Storage types of tensors, and scalar conversions between them.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>

namespace flashrt {

enum class DType : std::uint8_t { f32, f16, bf16, i32, u8, i8, f8_e4m3, f4_e2m1 };

std::string_view name(DType);  // "f32", "bf16", "f8_e4m3", ...
std::optional<DType> dtype_from_name(std::string_view);

// Width of one element in bits; f4_e2m1 packs two elements a byte, low nibble first.
constexpr int bits(DType t) {
  switch (t) {
    case DType::f32:
    case DType::i32: return 32;
    case DType::f16:
    case DType::bf16: return 16;
    case DType::u8:
    case DType::i8:
    case DType::f8_e4m3: return 8;
    case DType::f4_e2m1: return 4;
  }
  return 0;
}

constexpr std::int64_t bytes_for(DType t, std::int64_t elements) { return (elements * bits(t) + 7) / 8; }
constexpr bool is_float(DType t) { return t != DType::i32 && t != DType::u8 && t != DType::i8; }

// Round to nearest even; NaN stays NaN.
inline std::uint16_t to_bf16(float x) noexcept {
  std::uint32_t u = std::bit_cast<std::uint32_t>(x);
  if ((u & 0x7fffffffu) > 0x7f800000u) return static_cast<std::uint16_t>((u >> 16) | 0x40u);
  return static_cast<std::uint16_t>((u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
}
inline float from_bf16(std::uint16_t h) noexcept { return std::bit_cast<float>(std::uint32_t{h} << 16); }

std::uint16_t to_f16(float) noexcept;
float from_f16(std::uint16_t) noexcept;
// OCP E4M3 (no infinity, 0x7f and 0xff are NaN), saturating at +-448.
std::uint8_t to_f8_e4m3(float) noexcept;
float from_f8_e4m3(std::uint8_t) noexcept;
// E2M1: the low nibble of the argument; saturating at +-6.
std::uint8_t to_f4_e2m1(float) noexcept;
float from_f4_e2m1(std::uint8_t) noexcept;

// Element `i` of a packed array as a float, and back (integers are rounded to nearest even and saturated).
float load_as_float(const std::byte* data, DType, std::int64_t i) noexcept;
void store_from_float(std::byte* data, DType, std::int64_t i, float value) noexcept;

}  // namespace flashrt
