// SPDX-License-Identifier: Apache-2.0
#include "flashrt/io/stored_type.h"

#include <array>
#include <bit>
#include <cstring>

namespace flashrt {
namespace {

struct Row {
  StoredType type;
  std::string_view name;
  int bits;
  std::optional<DType> dtype;
  bool widens;
};

// In the order of the enumeration.
constexpr std::array<Row, 20> kRows{{
    {StoredType::f64, "F64", 64, std::nullopt, true},
    {StoredType::f32, "F32", 32, DType::f32, true},
    {StoredType::f16, "F16", 16, DType::f16, true},
    {StoredType::bf16, "BF16", 16, DType::bf16, true},
    {StoredType::f8_e4m3, "F8_E4M3", 8, DType::f8_e4m3, true},
    {StoredType::f8_e5m2, "F8_E5M2", 8, std::nullopt, false},
    {StoredType::f8_e8m0, "F8_E8M0", 8, std::nullopt, false},
    {StoredType::f6_e2m3, "F6_E2M3", 6, std::nullopt, false},
    {StoredType::f6_e3m2, "F6_E3M2", 6, std::nullopt, false},
    {StoredType::f4, "F4", 4, DType::f4_e2m1, false},
    {StoredType::i64, "I64", 64, std::nullopt, true},
    {StoredType::i32, "I32", 32, DType::i32, true},
    {StoredType::i16, "I16", 16, std::nullopt, true},
    {StoredType::i8, "I8", 8, DType::i8, true},
    {StoredType::u64, "U64", 64, std::nullopt, true},
    {StoredType::u32, "U32", 32, std::nullopt, true},
    {StoredType::u16, "U16", 16, std::nullopt, true},
    {StoredType::u8, "U8", 8, DType::u8, true},
    {StoredType::boolean, "BOOL", 8, std::nullopt, false},
    {StoredType::c64, "C64", 64, std::nullopt, false},
}};

constexpr bool in_order() {
  for (std::size_t i = 0; i < kRows.size(); ++i)
    if (static_cast<std::size_t>(kRows[i].type) != i) return false;
  return true;
}
static_assert(in_order());

const Row& row(StoredType type) { return kRows[static_cast<std::size_t>(type)]; }

template <class T, class Convert>
void convert(const std::byte* src, std::int64_t n, float* out, Convert to_float) noexcept {
  for (std::int64_t i = 0; i < n; ++i) {
    T v;
    std::memcpy(&v, src + i * static_cast<std::int64_t>(sizeof(T)), sizeof(T));
    out[i] = to_float(v);
  }
}

template <class T>
void cast(const std::byte* src, std::int64_t n, float* out) noexcept {
  convert<T>(src, n, out, [](T v) { return static_cast<float>(v); });
}

// Branchless, so that the loop over it vectorises; exact for subnormals whatever the processor's denormal mode.
float half_to_float(std::uint16_t h) noexcept {
  std::uint32_t sign = (h & 0x8000u) << 16, exponent = h & 0x7c00u, fraction = h & 0x3ffu;
  std::uint32_t rebias = exponent == 0x7c00u ? 0x70000000u : 0x38000000u;  // infinity and NaN keep a full exponent
  std::uint32_t normal = ((h & 0x7fffu) << 13) + rebias;
  float small = std::bit_cast<float>(0x38800000u | (fraction << 13)) - 0x1p-14f;
  std::uint32_t magnitude = exponent ? normal : std::bit_cast<std::uint32_t>(small);
  return std::bit_cast<float>(sign | magnitude);
}

std::array<float, 256> make_f8_table() {
  std::array<float, 256> table;
  for (std::size_t i = 0; i < table.size(); ++i) table[i] = from_f8_e4m3(static_cast<std::uint8_t>(i));
  return table;
}

}  // namespace

std::string_view name(StoredType type) { return row(type).name; }
int bits(StoredType type) { return row(type).bits; }
std::optional<DType> dtype(StoredType type) { return row(type).dtype; }
bool can_widen(StoredType type) { return row(type).widens; }

std::optional<StoredType> stored_type_from_name(std::string_view text) {
  for (const Row& r : kRows)
    if (r.name == text) return r.type;
  return std::nullopt;
}

StoredType stored_type(DType wanted) {
  for (const Row& r : kRows)
    if (r.dtype == wanted) return r.type;
  return StoredType::f32;  // not reached: every DType has its row
}

void widen(StoredType type, const std::byte* src, std::int64_t n, float* out) noexcept {
  switch (type) {
    case StoredType::f32: std::memcpy(out, src, static_cast<std::size_t>(n) * sizeof(float)); return;
    case StoredType::bf16: return convert<std::uint16_t>(src, n, out, from_bf16);
    case StoredType::f16: return convert<std::uint16_t>(src, n, out, half_to_float);
    case StoredType::f8_e4m3: {
      static const std::array<float, 256> table = make_f8_table();
      return convert<std::uint8_t>(src, n, out, [&](std::uint8_t v) { return table[v]; });
    }
    case StoredType::f64: return cast<double>(src, n, out);
    case StoredType::i64: return cast<std::int64_t>(src, n, out);
    case StoredType::i32: return cast<std::int32_t>(src, n, out);
    case StoredType::i16: return cast<std::int16_t>(src, n, out);
    case StoredType::i8: return cast<std::int8_t>(src, n, out);
    case StoredType::u64: return cast<std::uint64_t>(src, n, out);
    case StoredType::u32: return cast<std::uint32_t>(src, n, out);
    case StoredType::u16: return cast<std::uint16_t>(src, n, out);
    case StoredType::u8: return cast<std::uint8_t>(src, n, out);
    default: return;  // can_widen says no
  }
}

void narrow(const float* src, std::int64_t n, StoredType type, std::byte* out) noexcept {
  DType to = *dtype(type);
  if (to == DType::f32) {
    std::memcpy(out, src, static_cast<std::size_t>(n) * sizeof(float));
  } else if (to == DType::bf16) {
    for (std::int64_t i = 0; i < n; ++i) {
      std::uint16_t v = to_bf16(src[i]);
      std::memcpy(out + 2 * i, &v, sizeof v);
    }
  } else {
    for (std::int64_t i = 0; i < n; ++i) store_from_float(out, to, i, src[i]);
  }
}

}  // namespace flashrt
