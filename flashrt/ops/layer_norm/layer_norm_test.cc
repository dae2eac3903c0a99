// SPDX-License-Identifier: Apache-2.0
#include "flashrt/ops/layer_norm/layer_norm.h"

#include "flashrt/ops/i8_output_test.h"
#include "flashrt/ops/op_test.h"

namespace flashrt {
namespace {

constexpr DType kInputs[] = {DType::f32, DType::bf16};
constexpr DType kOutputs[] = {DType::f32, DType::bf16, DType::i8};

LayerNorm make(TestMemory& m, Shape shape, DType x, DType y, double lo = -2, double hi = 5) {
  LayerNorm op{.x = m.random(shape, x, lo, hi),
               .y = m.output(shape, y),
               .gain = m.random({shape[1]}, DType::f32, -2, 2),
               .bias = m.random({shape[1]}, DType::f32)};
  if (y == DType::i8) op.y_scale = m.output({shape[0], 2}, DType::f32);
  return op;
}

void test(TestMemory& m, const LayerNorm& op, double rel = 4e-6) {
  OpTolerance tolerance{.abs = 2 * rel, .rel = op.y.dtype == DType::bf16 ? 8e-3 : rel};
  if (op.y.dtype == DType::i8) tolerance = {.steps = 1, .by_inspection = {op.y_scale.data}};
  op_test(m, op, tolerance, inspect_i8(10 * rel));
}

TEST(LayerNorm, EveryTypeAndOddSizes) {
  for (DType x : kInputs)
    for (DType y : kOutputs)
      for (Shape shape : {Shape{3, 2}, {3, 15}, {2, 16}, {5, 33}, {4, 64}, {3, 127}, {7, 1152}, {2, 2048}}) {
        TestMemory m;
        test(m, make(m, shape, x, y));
      }
}

TEST(LayerNorm, ANaNGoesIntoTheScaleOfAnI8Output) {
  TestMemory m;
  LayerNorm op = make(m, {3, 70}, DType::f32, DType::i8);
  op.bias.as<float>()[3] = std::nanf("");
  op_test(m, op, {.steps = 1, .by_inspection = {op.y_scale.data}},
          [](const LayerNorm& done) { EXPECT_TRUE(std::isnan(done.y_scale.row<float>(1)[0])); });
}

TEST(LayerNorm, GainAndBiasMayBeUnset) {
  for (DType y : kOutputs) {
    TestMemory m;
    LayerNorm op = make(m, {5, 49}, DType::f32, y);
    op.gain = {};
    test(m, op);
    op.bias = {};
    test(m, op);
  }
}

TEST(LayerNorm, RowsFarFromZeroKeepTheirVariance) {
  TestMemory m;
  // The inputs themselves are only good to 4e-5 of their spread.
  test(m, make(m, {3, 200}, DType::f32, DType::f32, 999, 1001), 1e-4);
}

TEST(LayerNorm, AConstantRowBecomesTheBias) {
  TestMemory m;
  LayerNorm op = make(m, {2, 32}, DType::f32, DType::f32);
  op.x = m.filled({2, 32}, DType::f32, 3.0f);
  op_test(m, op, {}, [](const LayerNorm& done) { EXPECT_EQ(done.y.row<float>(1)[5], done.bias.as<float>()[5]); });
}

TEST(LayerNorm, RefusesWrongArguments) {
  TestMemory m;
  const LayerNorm good = make(m, {2, 8}, DType::f32, DType::f32);
  LayerNorm op = good;
  op.bias = m.random({2, 8}, DType::f32);
  expect_refused(op, "bias is f32[2, 8]; it must be f32[8]");
  op = good;
  op.gain = m.random({8}, DType::bf16);
  expect_refused(op, "gain is bf16[8]; it must be f32[8]");
  op = good;
  op.y = m.output({2, 8}, DType::i8);
  expect_refused(op, "y_scale is not set");
  op = good;
  op.x = m.random({8}, DType::f32);
  expect_refused(op, "it must be a matrix");
}

}  // namespace
}  // namespace flashrt
