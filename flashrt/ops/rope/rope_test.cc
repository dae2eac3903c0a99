// SPDX-License-Identifier: Apache-2.0
#include "flashrt/ops/rope/rope.h"

#include <array>
#include <cmath>

#include "flashrt/ops/op_test.h"

namespace flashrt {
namespace {

struct Shapes {
  std::int64_t T, heads, kv_heads, hd, capacity;
  std::int64_t block = 0, cache_row = 0, table = 0;  // table: positions in cos and sin; 0: no rotation
};
struct Types {
  DType qkv, q, cache;
};

Rope make(TestMemory& m, const Shapes& s, const Types& t) {
  const std::int64_t caches = (s.block ? s.T / s.block : 1) * s.kv_heads;
  Rope op{.qkv = m.random({s.T, (s.heads + 2 * s.kv_heads) * s.hd}, t.qkv),
          .q = m.output({s.T, s.heads * s.hd}, t.q),
          .k_cache = m.packed({caches, s.capacity, s.hd}, t.cache),
          .v_cache = m.packed({caches, s.hd, s.capacity}, t.cache),
          .cache_row = s.cache_row,
          .block = s.block,
          .heads = s.heads,
          .kv_heads = s.kv_heads,
          .q_scale = 0.125f};
  if (s.table) {
    op.cos = m.output({s.table, s.hd / 2}, DType::f32);
    op.sin = m.output({s.table, s.hd / 2}, DType::f32);
    for (std::int64_t p = 0; p < s.table; ++p)
      for (std::int64_t i = 0; i < s.hd / 2; ++i) {
        const double angle =
            static_cast<double>(p) * std::pow(10000.0, -2.0 * static_cast<double>(i) / static_cast<double>(s.hd));
        op.cos.row<float>(p)[i] = static_cast<float>(std::cos(angle));
        op.sin.row<float>(p)[i] = static_cast<float>(std::sin(angle));
      }
  }
  return op;
}

// Columns past N and a last half pair are padding, which matrix products rely on to be zero.
void expect_zero_padding(const Tensor& t) {
  const std::int64_t N = round_up(t.dim(1), kPanel), K = packed_depth(t.dtype, t.dim(2));
  for (std::int64_t b = 0; b < t.dim(0); ++b)
    for (std::int64_t n = 0; n < N; ++n)
      for (std::int64_t k = 0; k < K; ++k)
        if (n >= t.dim(1) || k >= t.dim(2)) {
          ASSERT_EQ(packed_value(t, b, n, k), 0) << b << ", " << n << ", " << k;
        }
}

void test(TestMemory& m, const Rope& op) {
  const bool narrow = op.k_cache.dtype == DType::bf16 || (op.q && op.q.dtype == DType::bf16);
  op_test(m, op, {.abs = 1e-6, .rel = narrow ? 8e-3 : 1e-6}, [](const Rope& r) {
    expect_zero_padding(r.k_cache);
    expect_zero_padding(r.v_cache);
  });
}

void test_types(const Shapes& s) {
  for (DType qkv : {DType::f32, DType::bf16})
    for (DType q : {DType::f32, DType::bf16})
      for (DType cache : {DType::f32, DType::bf16}) {
        SCOPED_TRACE(testing::Message() << name(qkv) << " -> " << name(q) << ", " << name(cache));
        TestMemory m;
        test(m, make(m, s, {qkv, q, cache}));
      }
}

constexpr Types kBf16{DType::bf16, DType::bf16, DType::bf16};

TEST(Rope, AllHeadsShareOneKeyHead) {
  test_types({.T = 70, .heads = 8, .kv_heads = 1, .hd = 64, .capacity = 71, .table = 90});
}
TEST(Rope, HeadsShareKeys) { test_types({.T = 13, .heads = 4, .kv_heads = 2, .hd = 20, .capacity = 64, .table = 13}); }
TEST(Rope, BlocksWithoutRotation) {
  test_types({.T = 80, .heads = 3, .kv_heads = 3, .hd = 72, .capacity = 40, .block = 40});
}
TEST(Rope, BlocksContinuePositions) {
  test_types({.T = 12, .heads = 2, .kv_heads = 1, .hd = 16, .capacity = 9, .block = 6, .cache_row = 3, .table = 12});
}
TEST(Rope, SmallestHead) { test_types({.T = 3, .heads = 1, .kv_heads = 1, .hd = 2, .capacity = 3, .table = 4}); }

TEST(Rope, AnyCacheRow) {
  for (DType cache : {DType::f32, DType::bf16})
    for (std::int64_t row = 0; row < 36; ++row)
      for (std::int64_t T : {1, 2, 31, 50}) {
        SCOPED_TRACE(testing::Message() << "row " << row << ", " << T << " rows, " << name(cache));
        TestMemory m;
        test(m, make(m, {.T = T, .heads = 1, .kv_heads = 1, .hd = 10, .capacity = 87, .cache_row = row, .table = 60},
                     {DType::bf16, DType::bf16, cache}));
      }
}

TEST(Rope, PositionComesFromMemoryAndIsClamped) {
  for (std::int32_t position : {-30, 0, 7, 35, 1000}) {
    TestMemory m;
    Rope op =
        make(m, {.T = 11, .heads = 2, .kv_heads = 1, .hd = 32, .capacity = 20, .cache_row = 2, .table = 40}, kBf16);
    op.position = m.value(position);
    op.first_position = 3;
    test(m, op);
  }
}

TEST(Rope, OnlyKeysAndValues) {
  for (std::int64_t heads : {0, 3}) {
    TestMemory m;
    Rope op = make(m, {.T = 11, .heads = 3, .kv_heads = 1, .hd = 32, .capacity = 20, .table = 40}, kBf16);
    op.heads = heads;
    op.qkv = m.random({11, (heads + 2) * 32}, DType::bf16);
    op.q = {};
    test(m, op);
  }
}

TEST(Rope, RotatesHalves) {
  TestMemory m;
  Rope op = make(m, {.T = 1, .heads = 1, .kv_heads = 1, .hd = 4, .capacity = 1, .table = 1},
                 {DType::f32, DType::f32, DType::f32});
  const std::array<float, 12> in = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
  std::memcpy(op.qkv.data, in.data(), sizeof(in));
  op.cos.as<float>()[0] = 0, op.sin.as<float>()[0] = 1;  // a quarter turn of elements 0 and 2
  op.cos.as<float>()[1] = 1, op.sin.as<float>()[1] = 0;
  op.q_scale = 2;
  op_test(m, op, {}, [](const Rope& r) {
    EXPECT_EQ(std::vector<float>(r.q.as<float>(), r.q.as<float>() + 4), (std::vector<float>{-6, 4, 2, 8}));
    std::vector<float> k, v;
    for (std::int64_t i = 0; i < 4; ++i)
      k.push_back(packed_value(r.k_cache, 0, 0, i)), v.push_back(packed_value(r.v_cache, 0, i, 0));
    EXPECT_EQ(k, (std::vector<float>{-7, 6, 5, 8}));
    EXPECT_EQ(v, (std::vector<float>{9, 10, 11, 12}));
  });
}

TEST(Rope, RefusesWrongArguments) {
  TestMemory m;
  const Rope right = make(m, {.T = 6, .heads = 4, .kv_heads = 2, .hd = 8, .capacity = 12, .table = 9}, kBf16);
  right.check();
  auto refused = [&](const std::string& text, auto change) {
    Rope op = right;
    change(op);
    expect_refused(op, text);
  };
  refused("kv_heads (0) must be positive", [](Rope& r) { r.kv_heads = 0; });
  refused("of an even width", [](Rope& r) { r.heads = 5; });
  refused("must be f32 or bf16 [6, 32]", [&](Rope& r) { r.q = m.output({6, 31}, DType::bf16); });
  refused("blocks of 4", [](Rope& r) { r.block = 4; });
  refused("packed_rhs [4, S, 8]", [](Rope& r) { r.block = 3; });
  refused("packed_rhs [2, S, 8]", [&](Rope& r) { r.k_cache = m.packed({2, 12, 6}, DType::bf16); });
  refused("packed_rhs [2, 8, 12]", [&](Rope& r) { r.v_cache = m.packed({2, 8, 13}, DType::bf16); });
  refused("make the cache longer", [](Rope& r) { r.cache_row = 7; });
  refused("both be set", [](Rope& r) { r.sin = {}; });
  refused("f32 [P, 4]", [&](Rope& r) { r.cos = m.random({9, 5}, DType::f32); });
}

TEST(Rope, CostCountsWhatIsMoved) {
  TestMemory m;
  Rope op = make(m, {.T = 6, .heads = 4, .kv_heads = 2, .hd = 8, .capacity = 12}, kBf16);
  EXPECT_EQ(op.cost().bytes, 2 * 2 * 6 * 8 * 8);
  op.q = {};
  EXPECT_EQ(op.cost().bytes, 2 * 2 * 6 * 4 * 8);
}

}  // namespace
}  // namespace flashrt
