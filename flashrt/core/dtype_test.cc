// SPDX-License-Identifier: Apache-2.0
#include "flashrt/core/dtype.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace flashrt {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

TEST(DType, NamesRoundTrip) {
  for (DType t :
       {DType::f32, DType::f16, DType::bf16, DType::i32, DType::u8, DType::i8, DType::f8_e4m3, DType::f4_e2m1})
    EXPECT_EQ(dtype_from_name(name(t)), t);
  EXPECT_FALSE(dtype_from_name("float"));
}

TEST(DType, PackedSizes) {
  EXPECT_EQ(bytes_for(DType::f4_e2m1, 3), 2);
  EXPECT_EQ(bytes_for(DType::bf16, 3), 6);
}

TEST(Bf16, RoundsToNearestEven) {
  EXPECT_EQ(to_bf16(1.0f), 0x3f80);
  EXPECT_EQ(to_bf16(1.00390625f), 0x3f80);  // a tie goes to the even mantissa
  EXPECT_EQ(to_bf16(1.01171875f), 0x3f82);  // and from the odd one up
  EXPECT_EQ(from_bf16(to_bf16(kInf)), kInf);
  EXPECT_TRUE(std::isnan(from_bf16(to_bf16(std::nanf("")))));
  for (int i = 0; i < 0x7f80; ++i) {
    auto h = static_cast<std::uint16_t>(i);
    EXPECT_EQ(to_bf16(from_bf16(h)), h);
  }
}

TEST(F16, EveryValueRoundTripsAndTiesAreEven) {
  for (int i = 0; i <= 0x7c00; ++i) {
    auto h = static_cast<std::uint16_t>(i);
    ASSERT_EQ(to_f16(from_f16(h)), h);
  }
  EXPECT_EQ(to_f16(65519.0f), 0x7bff);
  EXPECT_EQ(to_f16(65520.0f), 0x7c00);
  EXPECT_EQ(to_f16(std::ldexp(1.0f, -25)), 0);  // a tie with zero
  EXPECT_EQ(to_f16(std::nextafter(std::ldexp(1.0f, -25), 1.0f)), 1);
  EXPECT_EQ(to_f16(std::ldexp(3.0f, -25)), 2);  // a tie between 1 and 2 steps
  EXPECT_EQ(from_f16(0xc000), -2.0f);
}

TEST(F8, E4m3MatchesTheOcpTable) {
  EXPECT_EQ(from_f8_e4m3(0x7e), 448.0f);
  EXPECT_EQ(from_f8_e4m3(0x01), std::ldexp(1.0f, -9));
  EXPECT_EQ(from_f8_e4m3(0x38), 1.0f);
  EXPECT_EQ(to_f8_e4m3(1e9f), 0x7e);
  EXPECT_EQ(to_f8_e4m3(-kInf), 0xfe);
  EXPECT_TRUE(std::isnan(from_f8_e4m3(0x7f)));
  EXPECT_TRUE(std::isnan(from_f8_e4m3(to_f8_e4m3(std::nanf("")))));
  for (int i = 0; i < 127; ++i) EXPECT_EQ(to_f8_e4m3(from_f8_e4m3(static_cast<std::uint8_t>(i))), i);
}

TEST(F4, E2m1) {
  const float values[] = {0, 0.5f, 1, 1.5f, 2, 3, 4, 6};
  for (std::uint8_t i = 0; i < 8; ++i) {
    EXPECT_EQ(from_f4_e2m1(i), values[i]);
    EXPECT_EQ(to_f4_e2m1(values[i]), i);
    EXPECT_EQ(from_f4_e2m1(i | 8), -values[i]);
  }
  EXPECT_EQ(to_f4_e2m1(0.25f), 0);  // ties to even
  EXPECT_EQ(to_f4_e2m1(0.75f), 2);
  EXPECT_EQ(to_f4_e2m1(100.0f), 7);
}

TEST(Elements, LoadAndStoreEveryType) {
  for (DType t : {DType::f32, DType::f16, DType::bf16, DType::i32, DType::i8, DType::f8_e4m3, DType::f4_e2m1}) {
    std::byte memory[64] = {};
    for (int i = 0; i < 8; ++i) store_from_float(memory, t, i, static_cast<float>(i % 4 - 2));
    for (int i = 0; i < 8; ++i) EXPECT_EQ(load_as_float(memory, t, i), static_cast<float>(i % 4 - 2)) << name(t);
  }
  std::byte b[1];
  store_from_float(b, DType::u8, 0, 300.0f);
  EXPECT_EQ(load_as_float(b, DType::u8, 0), 255.0f);
  store_from_float(b, DType::i8, 0, -2.5f);
  EXPECT_EQ(load_as_float(b, DType::i8, 0), -2.0f);
}

}  // namespace
}  // namespace flashrt
