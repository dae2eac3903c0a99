// SPDX-License-Identifier: Apache-2.0
#include "flashrt/ops/rms_norm/rms_norm.h"

#include "flashrt/ops/i8_output_test.h"
#include "flashrt/ops/op_test.h"

namespace flashrt {
namespace {

RmsNorm make(TestMemory& m, Shape shape, DType x, DType y) {
  RmsNorm op{.x = m.random(shape, x, -2, 5), .y = m.output(shape, y)};
  if (y == DType::i8) op.y_scale = m.output({shape[0], 2}, DType::f32);
  return op;
}

OpTolerance tolerance(const RmsNorm& op) {
  if (op.y.dtype == DType::i8) return {.abs = 1e-6, .rel = 1e-5, .steps = 1, .by_inspection = {op.y_scale.data}};
  return {.abs = 1e-6, .rel = op.y.dtype == DType::bf16 || (op.sum && op.sum.dtype == DType::bf16) ? 8e-3 : 2e-6};
}

void test(TestMemory& m, const RmsNorm& op) { op_test(m, op, tolerance(op), inspect_i8()); }

constexpr DType kInputs[] = {DType::f32, DType::bf16};
constexpr DType kOutputs[] = {DType::f32, DType::bf16, DType::i8};

TEST(RmsNorm, EveryTypeAndOddSizes) {
  for (DType x : kInputs)
    for (DType y : kOutputs)
      for (Shape shape : {Shape{1, 1}, {3, 15}, {2, 16}, {5, 33}, {4, 64}, {3, 127}, {7, 1024}, {2, 2048}}) {
        TestMemory m;
        test(m, make(m, shape, x, y));
      }
}

TEST(RmsNorm, AdaptiveGainAndShift) {
  for (DType y : kOutputs)
    for (std::int64_t D : {17, 1024}) {
      TestMemory m;
      RmsNorm op = make(m, {5, D}, DType::f32, y);
      op.gain = m.random({D}, DType::f32, -2, 2);
      test(m, op);
      op.shift = m.random({D}, DType::f32);
      test(m, op);
      op.gain = {};
      test(m, op);
    }
}

TEST(RmsNorm, AddsAndStoresTheSum) {
  for (DType x : kInputs)
    for (DType add : kInputs)
      for (DType sum : kInputs)
        for (DType y : kOutputs) {
          TestMemory m;
          RmsNorm op = make(m, {4, 70}, x, y);
          op.add = m.random({4, 70}, add, -3, 3);
          test(m, op);
          op.sum = m.output({4, 70}, sum);
          test(m, op);
          if (sum == x) {
            op.sum = op.x;
            test(m, op);
          }
        }
}

TEST(RmsNorm, TheEpsilonCountsForSmallRows) {
  TestMemory m;
  RmsNorm op{.x = m.random({2, 40}, DType::f32, -1e-3, 1e-3), .y = m.output({2, 40}, DType::f32), .eps = 1e-6f};
  test(m, op);
  op.x = m.filled({2, 40}, DType::f32, 0.0f);
  op_test(m, op, {}, [](const RmsNorm& done) { EXPECT_EQ(done.y.row<float>(1)[39], 0.0f); });
}

TEST(RmsNorm, ANaNGoesIntoTheScaleOfAnI8Output) {
  TestMemory m;
  RmsNorm op = make(m, {3, 70}, DType::f32, DType::i8);
  op.x.row<float>(1)[69] = std::nanf("");
  op_test(m, op, {.steps = 1, .by_inspection = {op.y_scale.data}}, [](const RmsNorm& done) {
    EXPECT_GT(done.y_scale.row<float>(0)[0], 0);
    EXPECT_TRUE(std::isnan(done.y_scale.row<float>(1)[0]));
  });
}

TEST(RmsNorm, RefusesWrongArguments) {
  TestMemory m;
  const RmsNorm good = make(m, {2, 8}, DType::f32, DType::f32);
  RmsNorm op = good;
  op.gain = m.random({9}, DType::f32);
  expect_refused(op, "gain is f32[9]; it must be f32[8]");
  op = good;
  op.y = m.output({2, 8}, DType::i8);
  expect_refused(op, "y_scale is not set");
  op = good;
  op.y_scale = m.output({2, 2}, DType::f32);
  expect_refused(op, "scales go with an i8 output");
  op = good;
  op.sum = m.output({2, 8}, DType::f32);
  expect_refused(op, "sum is set without add");
  op = good;
  op.add = m.random({1, 8}, DType::f32);
  expect_refused(op, "add is f32[1, 8]; it must be f32 or bf16[2, 8]");
  op = good;
  op.eps = -1;
  expect_refused(op, "eps is -1");
}

}  // namespace
}  // namespace flashrt
