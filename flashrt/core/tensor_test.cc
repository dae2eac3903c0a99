// SPDX-License-Identifier: Apache-2.0
#include "flashrt/core/tensor.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <numeric>
#include <vector>

#include "flashrt/core/arena.h"
#include "flashrt/core/error.h"
#include "flashrt/core/packed_rhs.h"

namespace flashrt {
namespace {

std::string error_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

TEST(Tensor, ViewsAddressTheSameElements) {
  std::vector<float> v(24);
  std::iota(v.begin(), v.end(), 0.0f);
  Tensor t(v.data(), {4, 6}, DType::f32);
  EXPECT_TRUE(t.contiguous());
  Tensor block = t.rows(1, 2).cols(2, 3);
  EXPECT_EQ(*block.row<float>(0), 8.0f);
  EXPECT_EQ(block.row<float>(1)[2], 16.0f);
  EXPECT_FALSE(block.contiguous());
  EXPECT_EQ(block.span_bytes(), (6 + 3) * 4);
  EXPECT_EQ(t.reshape({2, 12}).row<float>(1)[0], 12.0f);
}

TEST(Tensor, RefusesWhatDoesNotFit) {
  std::vector<float> v(24);
  Tensor t(v.data(), {4, 6}, DType::f32);
  EXPECT_NE(error_of([&] { t.rows(3, 2); }).find("[3, 5)"), std::string::npos);
  EXPECT_NE(error_of([&] { t.reshape({5, 5}); }).find("f32[4, 6]"), std::string::npos);
  EXPECT_NE(error_of([&] { t.cols(0, 3).reshape({12}); }).find("contiguous"), std::string::npos);
  EXPECT_NE(error_of([] { Shape s({1, 2, 3, 4, 5}); }).find("at most 4"), std::string::npos);
  EXPECT_NE(error_of([] { Shape s({-1}); }).find("negative"), std::string::npos);
}

TEST(PackedRhs, PanelsHoldEveryElementOnce) {
  for (DType t : {DType::f32, DType::bf16, DType::i8}) {
    const std::int64_t N = 45, K = 7;
    std::vector<int> seen(static_cast<std::size_t>(packed_elements(t, N, K)));
    for (std::int64_t n = 0; n < N; ++n)
      for (std::int64_t k = 0; k < K; ++k) ++seen.at(static_cast<std::size_t>(packed_index(t, K, n, k)));
    EXPECT_EQ(std::accumulate(seen.begin(), seen.end(), 0), N * K);
    EXPECT_EQ(*std::max_element(seen.begin(), seen.end()), 1);
  }
  EXPECT_EQ(packed_index(DType::bf16, 8, 33, 3), 32 * 8 + (1 * 32 + 1) * 2 + 1);
}

TEST(PackedRhs, BatchAndBias) {
  Arena arena(1 << 20);
  Tensor t = arena.packed({3, 33, 5}, DType::i8);
  EXPECT_EQ(packed_value(t, 2, 32, 4), 0.0f);
  set_packed_value(t, 2, 32, 4, -127.0f);
  EXPECT_EQ(packed_value(t, 2, 32, 4), -127.0f);
  EXPECT_EQ(packed_value(t, 1, 32, 4), 0.0f);
  EXPECT_EQ(t.span_bytes(), 3 * 64 * 8);
}

TEST(Arena, HandsOutAlignedZeroedMemoryAndRefusesOverflow) {
  Arena a(100);
  std::byte* p = a.allocate(3);
  std::byte* q = a.allocate(1);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(p) % Arena::kAlign, 0u);
  EXPECT_EQ(q - p, static_cast<std::ptrdiff_t>(Arena::kAlign));
  EXPECT_EQ(*q, std::byte{0});
  EXPECT_NE(error_of([&] { a.allocate(std::size_t{1} << 40); }).find("arena is full"), std::string::npos);
  EXPECT_NE(error_of([&] { a.allocate(SIZE_MAX); }).find("arena is full"), std::string::npos);
  Arena b = std::move(a);
  EXPECT_EQ(b.data(), p);
}

}  // namespace
}  // namespace flashrt
