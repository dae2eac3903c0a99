// SPDX-License-Identifier: Apache-2.0
#include "flashrt/ops/embedding/embedding.h"

#include "flashrt/ops/op_test.h"

namespace flashrt {
namespace {

Embedding make(TestMemory& m, std::int64_t T, std::int64_t V, std::int64_t D, DType table, DType y) {
  Embedding op{.ids = m.random({T}, DType::i32, 0, static_cast<double>(V - 1)),
               .table = m.random({V, D}, table, -3, 3),
               .y = m.output({T, D}, y),
               .scale = 45.25483f};
  return op;
}

TEST(Embedding, EveryTypeAndOddSizes) {
  for (DType table : {DType::f32, DType::f16, DType::bf16})
    for (DType y : {DType::f32, DType::bf16})
      for (std::int64_t D : {1, 15, 16, 33, 2048}) {
        TestMemory m;
        // One rounding of one product: exact.
        op_test(m, make(m, 7, 11, D, table, y));
      }
}

TEST(Embedding, HalfPrecisionTablesKeepSubnormals) {
  TestMemory m;
  Embedding op = make(m, 2, 4, 19, DType::f16, DType::f32);
  op.table = m.random({4, 19}, DType::f16, -1e-5, 1e-5);
  op_test(m, op);
}

TEST(Embedding, RowsPastTheValidTokensAreZeros) {
  for (std::int32_t valid : {0, 3, 5, 9}) {
    TestMemory m;
    Embedding op = make(m, 5, 8, 21, DType::bf16, DType::f32);
    op.valid = m.value(valid);
    op_test(m, op, {}, [&](const Embedding& done) {
      for (std::int64_t t = valid; t < 5; ++t) EXPECT_EQ(done.y.row<float>(t)[20], 0.0f);
    });
  }
}

TEST(Embedding, IdsOutsideTheTableAreClamped) {
  TestMemory m;
  Embedding op = make(m, 3, 4, 17, DType::f32, DType::f32);
  op.ids.as<std::int32_t>()[0] = -1;
  op.ids.as<std::int32_t>()[1] = 4;
  op.ids.as<std::int32_t>()[2] = INT32_MAX;
  op_test(m, op, {}, [](const Embedding& done) {
    EXPECT_EQ(done.y.row<float>(0)[16], done.table.row<float>(0)[16] * done.scale);
    EXPECT_EQ(done.y.row<float>(1)[16], done.table.row<float>(3)[16] * done.scale);
    EXPECT_EQ(done.y.row<float>(2)[16], done.table.row<float>(3)[16] * done.scale);
  });
}

TEST(Embedding, RefusesWrongArguments) {
  TestMemory m;
  const Embedding good = make(m, 3, 4, 8, DType::f32, DType::f32);
  Embedding op = good;
  op.ids = m.random({3}, DType::f32);
  expect_refused(op, "ids is f32[3]; it must be i32");
  op = good;
  op.table = m.random({4, 8}, DType::i8);
  expect_refused(op, "table is i8[4, 8]; it must be f32 or f16 or bf16[4, 8]");
  op = good;
  op.y = m.output({3, 9}, DType::f32);
  expect_refused(op, "y is f32[3, 9]; it must be f32 or bf16[3, 8]");
  op = good;
  op.scale = std::nanf("");
  expect_refused(op, "scale is nan");
}

}  // namespace
}  // namespace flashrt
