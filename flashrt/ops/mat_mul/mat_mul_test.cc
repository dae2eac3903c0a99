// SPDX-License-Identifier: Apache-2.0
#include "flashrt/ops/mat_mul/mat_mul.h"

#include "flashrt/backends/cpu/cpu_device.h"
#include "flashrt/core/arena.h"
#include "flashrt/core/error.h"
#include "flashrt/core/program.h"
#include "flashrt/ops/op_test.h"

namespace flashrt {
namespace {

constexpr DType kTypes[] = {DType::f32, DType::bf16, DType::i8};

// Operands of a product [M, N] of depth K with the scales the type needs. i8 operands use the whole range.
MatMul make(TestMemory& m, std::int64_t M, std::int64_t N, std::int64_t K, DType dtype, DType out = DType::f32) {
  const bool i8 = dtype == DType::i8;
  const double range = i8 ? 127 : 1;
  MatMul op{.x = m.random({M, K}, dtype, -range, range),
            .w = m.packed({N, K}, dtype, -range, range),
            .y = m.output({M, N}, out)};
  if (i8) {
    op.x_scale = m.random({M, 2}, DType::f32, 0.005, 0.01);
    for (std::int64_t t = 0; t < M; ++t) {
      float sum = 0;
      for (std::int64_t k = 0; k < K; ++k) sum += op.x.row<std::int8_t>(t)[k];
      op.x_scale.row<float>(t)[1] = sum;
    }
    op.w_scale = m.random({N}, DType::f32, 0.005, 0.01);
  }
  return op;
}

// Products of values below 1 summed K times in f32, then perhaps rounded to bf16, where it may tip to a neighbour.
OpTolerance tolerance(const MatMul& op) {
  const double sums = op.x.dtype == DType::i8 ? 1e-6 : 2e-7 * std::sqrt(static_cast<double>(op.x.dim(1))) + 1e-6;
  return {.abs = 4 * sums, .rel = op.y.dtype == DType::bf16 ? 1.0 / 128 : 3e-6};
}

TEST(MatMul, EveryShapeAndType) {
  for (DType dtype : kTypes)
    for (auto [M, N, K] : {std::array{1, 1, 1},
                           {1, 32, 4},
                           {2, 16, 3},
                           {3, 17, 5},
                           {4, 33, 7},
                           {5, 31, 8},
                           {7, 48, 9},
                           {13, 64, 33},
                           {14, 40, 66},
                           {15, 96, 35},
                           {29, 70, 17},
                           {57, 129, 130}}) {
      SCOPED_TRACE(fmt::format("{} {}x{}x{}", name(dtype), M, N, K));
      for (DType out : {DType::f32, DType::bf16}) {
        TestMemory m;
        MatMul op = make(m, M, N, K, dtype, out);
        op_test(m, op, tolerance(op));
      }
    }
}

TEST(MatMul, DepthInSeveralBlocks) {
  for (DType dtype : kTypes)
    for (double blocks : {1.5, 2.3}) {  // of the largest that a tile takes at once, and a part of a group
      const auto K = static_cast<std::int64_t>(blocks * kMatMulBlockGroups) * packed_group(dtype) + 3;
      SCOPED_TRACE(fmt::format("{} depth {}", name(dtype), K));
      TestMemory m;
      MatMul op = make(m, 31, 35, K, dtype);
      op.add = m.random({31, 35}, DType::f32);
      OpTolerance t = tolerance(op);
      t.abs *= 2;  // a sum of this length
      op_test(m, op, t);
    }
}

TEST(MatMul, MoreRowsThanOneTaskTakes) {
  for (DType dtype : kTypes) {
    TestMemory m;
    MatMul op = make(m, 1400, 40, 8, dtype);
    op_test(m, op, tolerance(op));
  }
}

TEST(MatMul, Epilogues) {
  for (DType dtype : kTypes)
    for (Activation act : {Activation::none, Activation::gelu_tanh, Activation::silu})
      for (unsigned fields = 0; fields < 8; ++fields)
        for (DType out : {DType::f32, DType::bf16}) {
          SCOPED_TRACE(fmt::format("{} act {} fields {} y {}", name(dtype), static_cast<int>(act), fields, name(out)));
          TestMemory m;
          MatMul op = make(m, 5, 45, 19, dtype, out);
          op.act = act;
          if (fields & 1) op.bias = m.random({45}, DType::f32, -3, 3);
          if (fields & 2) op.gate = m.random({45}, DType::f32, -2, 2);
          if (fields & 4) op.add = m.random({5, 45}, DType::f32, -2, 2);
          op_test(m, op, tolerance(op));
        }
}

TEST(MatMul, TheResidualMayBeTheOutput) {
  for (DType dtype : kTypes) {
    TestMemory m;
    MatMul op = make(m, 9, 50, 21, dtype);
    op.y = op.add = m.random({9, 50}, DType::f32);
    op_test(m, op, tolerance(op));
  }
}

TEST(MatMul, PairedColumnsAreGateAndUp) {
  for (DType dtype : kTypes)
    for (Activation act : {Activation::none, Activation::gelu_tanh, Activation::silu})
      for (DType out : {DType::f32, DType::bf16}) {
        TestMemory m;
        MatMul op = make(m, 17, 96, 40, dtype, out);
        op.y = m.output({17, 48}, out);
        op.act = act;
        op.paired = true;
        OpTolerance t = tolerance(op);
        t.abs *= 10;  // an error of the gate is multiplied by up to 10
        op_test(m, op, t);
      }
}

TEST(MatMul, IntegerExtremesDoNotSaturate) {
  for (float x : {-127.0f, 127.0f, -128.0f})
    for (float w : {-127.0f, 127.0f, -128.0f}) {
      TestMemory m;
      const std::int64_t K = 515;
      MatMul op{.x = m.filled({3, K}, DType::i8, x),
                .w = m.packed({33, K}, DType::i8, w, w),
                .y = m.output({3, 33}, DType::f32)};
      op.x_scale = m.filled({3, 2}, DType::f32, 1);
      for (std::int64_t t = 0; t < 3; ++t) op.x_scale.row<float>(t)[1] = x * static_cast<float>(K);
      op.w_scale = m.filled({33}, DType::f32, 1);
      op_test(m, op, {},
              [&](const MatMul& done) { EXPECT_EQ(done.y.row<float>(2)[32], x * w * static_cast<float>(K)); });
    }
}

// Between rows of a view, and behind the last one, may lie anything.
TEST(MatMul, WhatLiesBehindARowDoesNotMatter) {
  TestMemory m;
  MatMul op = make(m, 6, 20, 13, DType::bf16);
  Tensor wide = m.output({6, 15}, DType::bf16);  // NaN
  for (std::int64_t t = 0; t < 6; ++t)
    for (std::int64_t k = 0; k < 13; ++k) wide.row<std::uint16_t>(t)[k + 1] = op.x.row<std::uint16_t>(t)[k];
  op.x = wide.cols(1, 13);
  op_test(m, op, tolerance(op));
}

TEST(MatMul, ReferenceOfASmallProductByHand) {
  TestMemory m;
  MatMul op{.x = m.filled({1, 3}, DType::f32, 2), .w = m.packed({2, 3}, DType::f32), .y = m.output({1, 2}, DType::f32)};
  for (std::int64_t k = 0; k < 3; ++k) {
    set_packed_value(op.w, 0, 0, k, static_cast<float>(k + 1));
    set_packed_value(op.w, 0, 1, k, -1);
  }
  op.bias = m.filled({2}, DType::f32, 1);
  op.gate = m.filled({2}, DType::f32, 10);
  op.add = m.filled({1, 2}, DType::f32, 0.5);
  op_test(m, op, {}, [](const MatMul& done) {
    EXPECT_EQ(done.y.as<float>()[0], (2 * 6 + 1) * 10 + 0.5f);
    EXPECT_EQ(done.y.as<float>()[1], (2 * -3 + 1) * 10 + 0.5f);
  });
}

TEST(MatMul, AnI8OutputIsAProductAndAQuantize) {
  for (bool paired : {false, true}) {
    TestMemory m;
    MatMul op = make(m, 6, 64, 40, DType::i8);
    op.paired = paired;
    op.act = Activation::gelu_tanh;
    const Shape shape{6, paired ? 32 : 64};
    op.y = m.output(shape, DType::i8);
    op.y_scale = m.output({6, 2}, DType::f32);
    MatMul expected = op;
    expected.y = m.output(shape, DType::i8);
    expected.y_scale = m.output({6, 2}, DType::f32);
    reference(expected);
    auto device = cpu::make_device({.threads = 1, .pin = false});
    Arena arena(1 << 20);
    Program program = Program::record(*device, arena, [&](Recorder& r) { r(op, "fc1"); });
    ASSERT_EQ(program.steps().size(), 2u);
    EXPECT_EQ(program.steps()[0].label, "fc1.product");
    EXPECT_EQ(program.steps()[1].op, "quantize");
    program.replay();
    for (std::int64_t t = 0; t < 6; ++t) {
      const float scale = expected.y_scale.row<float>(t)[0];
      EXPECT_NEAR(op.y_scale.row<float>(t)[0], scale, scale / 128);
      for (std::int64_t n = 0; n < shape[1]; ++n)
        EXPECT_NEAR(op.y.row<std::int8_t>(t)[n], expected.y.row<std::int8_t>(t)[n], 1);
    }
  }
}

TEST(MatMul, CostCountsOperandsOnce) {
  TestMemory m;
  MatMul op = make(m, 5, 40, 16, DType::bf16);
  EXPECT_EQ(op.cost().flops, 2.0 * 5 * 40 * 16);
  EXPECT_EQ(op.cost().bytes, 2.0 * (5 * 16 + 40 * 16) + 4.0 * 5 * 40);
  EXPECT_EQ(op.cost().math, DType::bf16);
}

TEST(MatMul, RefusesWrongArguments) {
  TestMemory m;
  const MatMul good = make(m, 2, 32, 8, DType::i8);
  good.check();
  MatMul op = good;
  op.w = m.random({32, 8}, DType::i8);
  expect_refused(op, "w is i8[32, 8]; it must be a packed weight");
  op = good;
  op.w = m.packed({32, 9}, DType::i8);
  expect_refused(op, "x is i8[2, 8] and w i8[32, 9]; they must agree");
  op = good;
  op.x_scale = {};
  expect_refused(op, "x_scale is not set");
  op = good;
  op.w_scale = m.output({31}, DType::f32);
  expect_refused(op, "w_scale is f32[31]; it must be f32[32]");
  op = good;
  op.y = m.output({2, 31}, DType::f32);
  expect_refused(op, "y is f32[2, 31]");
  op = good;
  op.y = m.output({2, 32}, DType::i8);
  expect_refused(op, "y_scale is not set");
  op = good;
  op.bias = m.output({31}, DType::f32);
  expect_refused(op, "bias is f32[31]");
  op = good;
  op.paired = true;
  op.y = m.output({2, 16}, DType::f32);
  op.check();
  op.bias = m.output({32}, DType::f32);
  expect_refused(op, "a paired product takes no bias");
  op = make(m, 2, 30, 8, DType::f32);
  op.paired = true;
  expect_refused(op, "a multiple of 32 rows");
  op = make(m, 2, 8, 8, DType::f32);
  op.w_scale = m.output({8}, DType::f32);
  expect_refused(op, "scales go with i8");
  op.w_scale = {};
  op.y = op.x;
  expect_refused(op, "y must not be x");
}

}  // namespace
}  // namespace flashrt
