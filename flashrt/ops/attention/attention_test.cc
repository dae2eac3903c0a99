// SPDX-License-Identifier: Apache-2.0
#include "flashrt/ops/attention/attention.h"

#include <cmath>
#include <limits>

#include "flashrt/ops/op_test.h"

namespace flashrt {
namespace {

// Probabilities are rounded to bf16 before they meet V: half a step of 2^-8 of a value below 1, and a step of y.
OpTolerance tolerance(DType q, DType y) {
  return {.abs = q == DType::bf16 ? 4e-3 : 2e-5, .rel = y == DType::bf16 ? 8e-3 : 1e-6};
}

struct Shapes {
  std::int64_t T, heads, kv_heads, hd, keys, capacity;
  std::int64_t block = 0, prefix = 0;
};

Attention make(TestMemory& m, const Shapes& s, DType q, DType y, double scale = 1) {
  const std::int64_t caches = (s.block ? s.T / s.block : 1) * s.kv_heads;
  return {.q = m.random({s.T, s.heads * s.hd}, q, -scale, scale),
          .k_cache = m.packed({caches, s.capacity, s.hd}, q),
          .v_cache = m.packed({caches, s.hd, s.capacity}, q),
          .y = m.output({s.T, s.heads * s.hd}, y),
          .heads = s.heads,
          .kv_heads = s.kv_heads,
          .block = s.block,
          .keys = s.keys,
          .prefix = s.prefix};
}

// Fills cache rows [first, last), which nothing may read, with NaN.
void poison(const Attention& op, std::int64_t first, std::int64_t last) {
  for (std::int64_t b = 0; b < op.k_cache.dim(0); ++b)
    for (std::int64_t key = first; key < last; ++key)
      for (std::int64_t i = 0; i < op.k_cache.dim(2); ++i) {
        set_packed_value(op.k_cache, b, key, i, std::numeric_limits<float>::quiet_NaN());
        set_packed_value(op.v_cache, b, i, key, std::numeric_limits<float>::quiet_NaN());
      }
}

void test_types(const Shapes& s, double scale = 1) {
  for (DType q : {DType::f32, DType::bf16})
    for (DType y : {DType::f32, DType::bf16}) {
      SCOPED_TRACE(testing::Message() << name(q) << " -> " << name(y));
      TestMemory m;
      Attention op = make(m, s, q, y, scale);
      poison(op, s.keys, s.capacity);
      op_test(m, op, tolerance(q, y));
    }
}

TEST(Attention, EachHeadItsOwnKeys) {
  test_types({.T = 21, .heads = 3, .kv_heads = 3, .hd = 72, .keys = 45, .capacity = 45});
}
TEST(Attention, HeadsShareKeys) {
  test_types({.T = 7, .heads = 6, .kv_heads = 2, .hd = 20, .keys = 33, .capacity = 40});
}
TEST(Attention, AllHeadsShareOneKeyHead) {
  test_types({.T = 9, .heads = 8, .kv_heads = 1, .hd = 256, .keys = 70, .capacity = 71});
}
TEST(Attention, Blocks) {
  test_types({.T = 51, .heads = 2, .kv_heads = 2, .hd = 72, .keys = 17, .capacity = 18, .block = 17});
}
TEST(Attention, OneRowOneKey) { test_types({.T = 1, .heads = 1, .kv_heads = 1, .hd = 2, .keys = 1, .capacity = 1}); }
TEST(Attention, LargeScores) {
  test_types({.T = 15, .heads = 1, .kv_heads = 1, .hd = 64, .keys = 50, .capacity = 50}, 100);
}
TEST(Attention, EveryCountOfRows) {
  for (std::int64_t T = 1; T <= 30; ++T) {
    SCOPED_TRACE(T);
    TestMemory m;
    op_test(m,
            make(m, {.T = T, .heads = 1, .kv_heads = 1, .hd = 10, .keys = 19, .capacity = 32}, DType::bf16, DType::f32),
            tolerance(DType::bf16, DType::f32));
  }
}

// Every way the two spans of keys can meet vectors of 16, panels of 32 and pairs.
TEST(Attention, PrefixMask) {
  for (DType type : {DType::f32, DType::bf16})
    for (std::int64_t prefix : {3, 16, 31, 48, 57})
      for (std::int64_t suffix : {0, 1, 2, 30})
        for (std::int32_t valid = 0; valid <= prefix; valid += valid < 6 || valid > prefix - 4 ? 1 : 7) {
          SCOPED_TRACE(testing::Message()
                       << name(type) << " prefix " << prefix << " suffix " << suffix << " valid " << valid);
          TestMemory m;
          Attention op = make(
              m,
              {.T = 3, .heads = 2, .kv_heads = 1, .hd = 34, .keys = prefix + suffix, .capacity = 90, .prefix = prefix},
              type, type);
          op.valid = m.value(valid);
          poison(op, valid, prefix);
          poison(op, op.keys, 90);
          op_test(m, op, tolerance(type, type));
        }
}

TEST(Attention, PrefixWithoutCountIsWhole) {
  test_types({.T = 5, .heads = 2, .kv_heads = 1, .hd = 16, .keys = 37, .capacity = 40, .prefix = 21});
}

TEST(Attention, CountOfThePrefixIsClamped) {
  for (std::int32_t valid : {-5, 1000}) {
    TestMemory m;
    Attention op = make(m, {.T = 5, .heads = 2, .kv_heads = 1, .hd = 16, .keys = 37, .capacity = 40, .prefix = 21},
                        DType::bf16, DType::f32);
    op.valid = m.value(valid);
    if (valid < 0) poison(op, 0, 21);
    op_test(m, op, tolerance(DType::bf16, DType::f32));
  }
}

TEST(Attention, NoKeysGiveZeros) {
  for (DType y : {DType::f32, DType::bf16}) {
    TestMemory m;
    Attention op = make(m, {.T = 5, .heads = 2, .kv_heads = 2, .hd = 18, .keys = 20, .capacity = 20, .prefix = 20},
                        DType::bf16, y);
    op.valid = m.value(std::int32_t{0});
    op_test(m, op, {}, [](const Attention& a) {
      for (std::int64_t t = 0; t < a.y.dim(0); ++t)
        for (std::int64_t i = 0; i < a.y.dim(1); ++i) ASSERT_EQ(load_as_float(a.y.row<std::byte>(t), a.y.dtype, i), 0);
    });
  }
}

TEST(Attention, NanStaysInItsRow) {
  for (DType type : {DType::f32, DType::bf16}) {
    TestMemory m;
    Attention op =
        make(m, {.T = 20, .heads = 2, .kv_heads = 1, .hd = 32, .keys = 40, .capacity = 40}, type, DType::f32);
    store_from_float(op.q.row<std::byte>(11), type, 3, std::numeric_limits<float>::quiet_NaN());
    op_test(m, op, tolerance(type, DType::f32), [](const Attention& a) {
      for (std::int64_t t = 0; t < 20; ++t)
        for (std::int64_t i = 0; i < 64; ++i) ASSERT_EQ(std::isnan(a.y.row<float>(t)[i]), t == 11 && i < 32);
    });
  }
}

TEST(Attention, RefusesWrongArguments) {
  TestMemory m;
  const Attention right =
      make(m, {.T = 6, .heads = 4, .kv_heads = 2, .hd = 8, .keys = 10, .capacity = 12}, DType::bf16, DType::f32);
  right.check();
  auto refused = [&](const std::string& text, auto change) {
    Attention op = right;
    change(op);
    expect_refused(op, text);
  };
  refused("multiple of kv_heads", [](Attention& a) { a.kv_heads = 3; });
  refused("even width", [](Attention& a) { a.heads = 32, a.kv_heads = 32; });
  refused("shape of q", [&](Attention& a) { a.y = m.output({6, 30}, DType::f32); });
  refused("blocks of 4", [](Attention& a) { a.block = 4; });
  refused("need [4, S, 8]", [](Attention& a) { a.block = 3; });
  refused("dtype of q", [&](Attention& a) { a.k_cache = m.packed({2, 12, 8}, DType::f32); });
  refused("packed_rhs", [&](Attention& a) { a.v_cache = m.random({2, 8, 12}, DType::bf16); });
  refused("must be [2, 8, 12]", [&](Attention& a) { a.v_cache = m.packed({2, 8, 11}, DType::bf16); });
  refused("13 keys do not fit", [](Attention& a) { a.keys = 13; });
  refused("longer than the 10 keys", [](Attention& a) { a.prefix = 11; });
}

TEST(Attention, CostCountsBothProducts) {
  TestMemory m;
  Attention op =
      make(m, {.T = 6, .heads = 4, .kv_heads = 2, .hd = 8, .keys = 10, .capacity = 12}, DType::bf16, DType::f32);
  EXPECT_EQ(op.cost().flops, 2 * 2 * 6 * 4 * 10 * 8);
  EXPECT_EQ(op.cost().bytes, 6 * 32 * 2 + 6 * 32 * 4 + 2 * (2 * 10 * 8) * 2);
  EXPECT_EQ(op.cost().math, DType::bf16);
}

}  // namespace
}  // namespace flashrt
