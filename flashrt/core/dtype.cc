// SPDX-License-Identifier: Apache-2.0
#include "flashrt/core/dtype.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <span>
#include <utility>

namespace flashrt {
namespace {

constexpr std::array<std::pair<DType, std::string_view>, 8> kNames{{{DType::f32, "f32"},
                                                                    {DType::f16, "f16"},
                                                                    {DType::bf16, "bf16"},
                                                                    {DType::i32, "i32"},
                                                                    {DType::u8, "u8"},
                                                                    {DType::i8, "i8"},
                                                                    {DType::f8_e4m3, "f8_e4m3"},
                                                                    {DType::f4_e2m1, "f4_e2m1"}}};

// Nearest value of a small non-negative ascending table, ties to the even index.
std::uint8_t nearest(std::span<const float> table, float x) {
  std::size_t best = 0;
  for (std::size_t i = 1; i < table.size(); ++i) {
    float d = std::fabs(x - table[i]), e = std::fabs(x - table[best]);
    if (d < e || (d == e && i % 2 == 0)) best = i;
  }
  return static_cast<std::uint8_t>(best);
}

std::array<float, 128> make_e4m3() {
  std::array<float, 128> t{};
  for (int i = 0; i < 128; ++i) {
    int e = i >> 3, m = i & 7;
    t[i] = e == 0 ? std::ldexp(static_cast<float>(m), -9) : std::ldexp(1.0f + static_cast<float>(m) / 8.0f, e - 7);
  }
  t[127] = std::nanf("");
  return t;
}
const std::array<float, 128> kE4m3 = make_e4m3();
constexpr std::array<float, 8> kE2m1{0.0f, 0.5f, 1.0f, 1.5f, 2.0f, 3.0f, 4.0f, 6.0f};

template <class T>
T saturate(float value) {
  float r = std::nearbyint(value);
  if (std::isnan(r)) return 0;
  constexpr double lo = std::numeric_limits<T>::min(), hi = std::numeric_limits<T>::max();
  return static_cast<T>(std::clamp(static_cast<double>(r), lo, hi));
}

template <class T>
T read(const std::byte* data, std::int64_t i) {
  T v;
  std::memcpy(&v, data + i * static_cast<std::int64_t>(sizeof(T)), sizeof(T));
  return v;
}
template <class T>
void write(std::byte* data, std::int64_t i, T v) {
  std::memcpy(data + i * static_cast<std::int64_t>(sizeof(T)), &v, sizeof(T));
}

}  // namespace

std::string_view name(DType t) {
  for (const auto& [type, text] : kNames)
    if (type == t) return text;
  return "?";
}

std::optional<DType> dtype_from_name(std::string_view text) {
  for (const auto& [type, known] : kNames)
    if (known == text) return type;
  return std::nullopt;
}

std::uint16_t to_f16(float x) noexcept {
  std::uint32_t u = std::bit_cast<std::uint32_t>(x);
  auto sign = static_cast<std::uint16_t>((u >> 16) & 0x8000u);
  std::uint32_t a = u & 0x7fffffffu;
  if (a > 0x7f800000u) return sign | 0x7e00u;
  if (a >= 0x477ff000u) return sign | 0x7c00u;  // 65520 and above round to infinity
  if (a < 0x33000001u) return sign;             // at most 2^-25: rounds to zero
  if (a < 0x38800000u) {                        // subnormal half
    int shift = 126 - static_cast<int>(a >> 23);
    std::uint32_t m = (a & 0x7fffffu) | 0x800000u;
    std::uint32_t half = m >> shift, rest = m & ((1u << shift) - 1u), tie = 1u << (shift - 1);
    if (rest > tie || (rest == tie && (half & 1u))) ++half;
    return static_cast<std::uint16_t>(sign | half);
  }
  a -= 0x38000000u;
  return static_cast<std::uint16_t>(sign | ((a + 0xfffu + ((a >> 13) & 1u)) >> 13));
}

float from_f16(std::uint16_t h) noexcept {
  std::uint32_t sign = std::uint32_t{h & 0x8000u} << 16, e = (h >> 10) & 31u, m = h & 0x3ffu;
  if (e == 31) return std::bit_cast<float>(sign | 0x7f800000u | (m << 13));
  if (e == 0) {
    float v = std::ldexp(static_cast<float>(m), -24);
    return sign ? -v : v;
  }
  return std::bit_cast<float>(sign | ((e + 112u) << 23) | (m << 13));
}

std::uint8_t to_f8_e4m3(float x) noexcept {
  std::uint8_t sign = std::signbit(x) ? 0x80 : 0;
  if (std::isnan(x)) return sign | 0x7f;
  return static_cast<std::uint8_t>(sign | nearest(std::span(kE4m3).first(127), std::min(std::fabs(x), 448.0f)));
}
float from_f8_e4m3(std::uint8_t b) noexcept { return b & 0x80 ? -kE4m3[b & 127] : kE4m3[b & 127]; }

std::uint8_t to_f4_e2m1(float x) noexcept {
  std::uint8_t sign = std::signbit(x) ? 8 : 0;
  if (std::isnan(x)) return sign;
  return static_cast<std::uint8_t>(sign | nearest(kE2m1, std::min(std::fabs(x), 6.0f)));
}
float from_f4_e2m1(std::uint8_t b) noexcept { return b & 8 ? -kE2m1[b & 7] : kE2m1[b & 7]; }

float load_as_float(const std::byte* data, DType t, std::int64_t i) noexcept {
  switch (t) {
    case DType::f32: return read<float>(data, i);
    case DType::f16: return from_f16(read<std::uint16_t>(data, i));
    case DType::bf16: return from_bf16(read<std::uint16_t>(data, i));
    case DType::i32: return static_cast<float>(read<std::int32_t>(data, i));
    case DType::u8: return static_cast<float>(read<std::uint8_t>(data, i));
    case DType::i8: return static_cast<float>(read<std::int8_t>(data, i));
    case DType::f8_e4m3: return from_f8_e4m3(read<std::uint8_t>(data, i));
    case DType::f4_e2m1: return from_f4_e2m1(static_cast<std::uint8_t>(read<std::uint8_t>(data, i / 2) >> (i % 2 * 4)));
  }
  return 0;
}

void store_from_float(std::byte* data, DType t, std::int64_t i, float v) noexcept {
  switch (t) {
    case DType::f32: return write<float>(data, i, v);
    case DType::f16: return write<std::uint16_t>(data, i, to_f16(v));
    case DType::bf16: return write<std::uint16_t>(data, i, to_bf16(v));
    case DType::i32: return write<std::int32_t>(data, i, saturate<std::int32_t>(v));
    case DType::u8: return write<std::uint8_t>(data, i, saturate<std::uint8_t>(v));
    case DType::i8: return write<std::int8_t>(data, i, saturate<std::int8_t>(v));
    case DType::f8_e4m3: return write<std::uint8_t>(data, i, to_f8_e4m3(v));
    case DType::f4_e2m1: {
      auto byte = read<std::uint8_t>(data, i / 2);
      int shift = static_cast<int>(i % 2) * 4;
      byte = static_cast<std::uint8_t>((byte & ~(15 << shift)) | ((to_f4_e2m1(v) & 15) << shift));
      return write<std::uint8_t>(data, i / 2, byte);
    }
  }
}

}  // namespace flashrt
