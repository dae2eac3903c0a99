// SPDX-License-Identifier: Apache-2.0
#include "flashrt/ops/quantize/quantize.h"

#include <cmath>
#include <limits>

#include "flashrt/ops/op_test.h"

namespace flashrt {
namespace {

Quantize make(TestMemory& m, Shape shape, DType dtype, double range = 3) {
  return {.x = m.random(shape, dtype, -range, range),
          .y = m.output(shape, DType::i8),
          .y_scale = m.output({shape[0], 2}, DType::f32)};
}

TEST(Quantize, EveryRowGivesTheReferenceIntegers) {
  for (DType dtype : {DType::f32, DType::bf16})
    for (Shape shape : {Shape{1, 1}, {3, 15}, {5, 16}, {2, 17}, {7, 72}, {4, 127}, {3, 2048}, {1, 4304}}) {
      TestMemory m;
      op_test(m, make(m, shape, dtype));
    }
}

TEST(Quantize, TheScaleGivesTheRowBackWithinHalfAStep) {
  TestMemory m;
  Quantize op = make(m, {4, 50}, DType::f32);
  reference(op);
  for (std::int64_t t = 0; t < 4; ++t) {
    const float scale = op.y_scale.row<float>(t)[0];
    std::int64_t sum = 0;
    int largest = 0;
    for (std::int64_t d = 0; d < 50; ++d) {
      const int q = op.y.row<std::int8_t>(t)[d];
      EXPECT_NEAR(static_cast<float>(q) * scale, op.x.row<float>(t)[d], 0.5001f * scale);
      sum += q;
      largest = std::max(largest, std::abs(q));
    }
    EXPECT_EQ(largest, 127);
    EXPECT_EQ(op.y_scale.row<float>(t)[1], static_cast<float>(sum));
  }
}

TEST(Quantize, RowsOfZerosAndOfDenormalsHaveScaleZero) {
  for (float value : {0.0f, -0.0f, 1e-40f}) {
    TestMemory m;
    Quantize op{.x = m.filled({2, 19}, DType::f32, value),
                .y = m.output({2, 19}, DType::i8),
                .y_scale = m.output({2, 2}, DType::f32)};
    op_test(m, op, {}, [](const Quantize& done) {
      EXPECT_EQ(done.y_scale.row<float>(1)[0], 0.0f);
      EXPECT_EQ(done.y_scale.row<float>(1)[1], 0.0f);
      EXPECT_EQ(done.y.row<std::int8_t>(1)[18], 0);
    });
  }
}

TEST(Quantize, ARowThatIsNotFiniteHasScaleNaN) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity(), kNaN = std::numeric_limits<float>::quiet_NaN();
  for (float value : {kInfinity, -kInfinity, kNaN, -kNaN})
    for (std::int64_t D : {1, 17, 70, 200})
      for (std::int64_t at : {std::int64_t{0}, D / 2, D - 1}) {
        TestMemory m;
        Quantize op = make(m, {3, D}, DType::f32);
        op.x.row<float>(1)[at] = value;
        op_test(m, op, {}, [](const Quantize& done) {
          EXPECT_TRUE(std::isnan(done.y_scale.row<float>(1)[0]));
          EXPECT_EQ(done.y_scale.row<float>(1)[1], 0.0f);
          EXPECT_EQ(done.y.row<std::int8_t>(1)[0], 0);
          EXPECT_GT(done.y_scale.row<float>(0)[0], 0.0f);
          EXPECT_GT(done.y_scale.row<float>(2)[0], 0.0f);
        });
      }
}

TEST(Quantize, HugeAndTinyValuesKeepTheirScale) {
  for (double range : {1e-30, 1e30}) {
    TestMemory m;
    op_test(m, make(m, {2, 33}, DType::f32, range));
  }
}

TEST(Quantize, RefusesWrongArguments) {
  TestMemory m;
  const Quantize good = make(m, {2, 8}, DType::f32);
  Quantize op = good;
  op.x = {};
  expect_refused(op, "x is not set");
  op = good;
  op.y = m.output({2, 9}, DType::i8);
  expect_refused(op, "y is i8[2, 9]; it must be i8[2, 8]");
  op = good;
  op.y = m.output({2, 8}, DType::f32);
  expect_refused(op, "y is f32[2, 8]; it must be i8[2, 8]");
  op = good;
  op.y_scale = {};
  expect_refused(op, "y_scale is not set; it must be f32[2, 2]");
  op = good;
  op.x = m.random({2, 8}, DType::i32);
  expect_refused(op, "x is i32[2, 8]; it must be f32 or bf16[2, 8]");
}

}  // namespace
}  // namespace flashrt
