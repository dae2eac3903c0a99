// SPDX-License-Identifier: Apache-2.0
#include "flashrt/ops/patchify/patchify.h"

#include "flashrt/ops/op_test.h"

namespace flashrt {
namespace {

Patchify make(TestMemory& m, std::int64_t down, std::int64_t across, std::int64_t p, std::int64_t C, DType y) {
  Patchify op{.image = m.random({down * p, across * p * C}, DType::f32),
              .y = m.output({down * across, p * p * C}, y),
              .patch = p,
              .channels = C};
  if (y == DType::i8) op.y_scale = m.output({down * across, 2}, DType::f32);
  return op;
}

TEST(Patchify, EveryTypeAndOddSizes) {
  for (DType y : {DType::f32, DType::bf16, DType::i8})
    for (auto [p, C] : {std::pair{14, 3}, {1, 1}, {2, 3}, {16, 1}, {7, 4}}) {
      TestMemory m;
      op_test(m, make(m, 3, 2, p, C, y));
      op_test(m, make(m, 1, 5, p, C, y));
    }
}

TEST(Patchify, ElementsRunDownThenRightThenThroughTheChannels) {
  TestMemory m;
  Patchify op = make(m, 2, 2, 2, 3, DType::f32);
  for (std::int64_t h = 0; h < 4; ++h)
    for (std::int64_t i = 0; i < 12; ++i) op.image.row<float>(h)[i] = static_cast<float>(100 * h + i);
  op_test(m, op, {}, [](const Patchify& done) {
    const float bottom_right[] = {206, 207, 208, 209, 210, 211, 306, 307, 308, 309, 310, 311};
    for (std::int64_t i = 0; i < 12; ++i) EXPECT_EQ(done.y.row<float>(3)[i], bottom_right[i]);
    EXPECT_EQ(done.y.row<float>(1)[0], 6.0f);
  });
}

TEST(Patchify, StackedViewsAreOneTallImage) {
  TestMemory m;
  Patchify both = make(m, 4, 2, 3, 3, DType::f32);
  Patchify second = both;
  second.image = both.image.rows(6, 6);
  second.y = m.output({4, 27}, DType::f32);
  reference(both);
  reference(second);
  for (std::int64_t t = 0; t < 4; ++t)
    for (std::int64_t i = 0; i < 27; ++i) EXPECT_EQ(second.y.row<float>(t)[i], both.y.row<float>(4 + t)[i]);
}

TEST(Patchify, RefusesWrongArguments) {
  TestMemory m;
  const Patchify good = make(m, 2, 2, 2, 3, DType::f32);
  Patchify op = good;
  op.patch = 0;
  expect_refused(op, "patch is 0");
  op = good;
  op.patch = 3;
  expect_refused(op, "multiples of the patch size 3");
  op = good;
  op.image = m.random({4, 13}, DType::f32);
  expect_refused(op, "multiples of the patch size 2");
  op = good;
  op.y = m.output({4, 11}, DType::f32);
  expect_refused(op, "y is f32[4, 11]; it must be f32 or bf16 or i8[4, 12]");
  op = good;
  op.image = m.random({4, 12}, DType::bf16);
  expect_refused(op, "image is bf16[4, 12]; it must be f32[4, 12]");
  op = good;
  op.y = m.output({4, 12}, DType::i8);
  expect_refused(op, "y_scale is not set");
}

}  // namespace
}  // namespace flashrt
