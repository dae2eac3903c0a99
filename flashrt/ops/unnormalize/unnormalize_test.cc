// SPDX-License-Identifier: Apache-2.0
#include "flashrt/ops/unnormalize/unnormalize.h"

#include "flashrt/ops/op_test.h"

namespace flashrt {
namespace {

Unnormalize make(TestMemory& m, std::int64_t C, std::int64_t A, std::int64_t R) {
  return {.x = m.random({C, A}, DType::f32, -1, 1),
          .scale = m.random({R}, DType::f32, 0, 3),
          .offset = m.random({R}, DType::f32, -2, 2),
          .y = m.output({C, R}, DType::f32)};
}

constexpr double kRounding = 2e-6;  // of values up to about ten, each sum rounded

TEST(Unnormalize, EveryRowAndOddSizes) {
  for (auto [C, A, R] : {std::array{1, 1, 1}, {50, 32, 32}, {10, 32, 7}, {3, 18, 17}, {5, 40, 16}, {4, 64, 50}}) {
    TestMemory m;
    Unnormalize op = make(m, C, A, R);
    op_test(m, op, {.abs = kRounding});
    op.state = m.random({R}, DType::f32, -3, 3);
    op_test(m, op, {.abs = kRounding});
    op.mask = m.random({R}, DType::f32, 0, 2);
    op_test(m, op, {.abs = kRounding});
  }
}

TEST(Unnormalize, TheMaskChoosesRelativeColumns) {
  TestMemory m;
  Unnormalize op = make(m, 2, 4, 2);
  op.x = m.filled({2, 4}, DType::f32, 0.5f);
  op.scale = m.filled({2}, DType::f32, 2.0f);
  op.offset = m.filled({2}, DType::f32, 10.0f);
  op.state = m.filled({2}, DType::f32, 100.0f);
  op.mask = m.filled({2}, DType::f32, 1.0f);
  op.mask.as<float>()[1] = 0.0f;
  op_test(m, op, {}, [](const Unnormalize& done) {
    EXPECT_EQ(done.y.row<float>(1)[0], 111.0f);
    EXPECT_EQ(done.y.row<float>(1)[1], 11.0f);
  });
}

TEST(Unnormalize, RefusesWrongArguments) {
  TestMemory m;
  const Unnormalize good = make(m, 3, 8, 5);
  Unnormalize op = good;
  op.y = m.output({3, 9}, DType::f32);
  expect_refused(op, "y must have the rows of x and no more columns");
  op = good;
  op.y = m.output({2, 5}, DType::f32);
  expect_refused(op, "y must have the rows of x and no more columns");
  op = good;
  op.scale = m.random({8}, DType::f32);
  expect_refused(op, "scale is f32[8]; it must be f32[5]");
  op = good;
  op.offset = {};
  expect_refused(op, "offset is not set; it must be f32[5]");
  op = good;
  op.mask = m.random({5}, DType::f32);
  expect_refused(op, "mask is set without state");
  op.state = m.random({4}, DType::f32);
  expect_refused(op, "state is f32[4]; it must be f32[5]");
}

}  // namespace
}  // namespace flashrt
