// SPDX-License-Identifier: Apache-2.0
// Shows that op_test finds what it is there to find, on an op whose only row can be broken in several ways.
#include "flashrt/ops/op_test.h"

#include <gtest/gtest-spi.h>

namespace flashrt {
namespace {

enum class Fault { none, value, gap, input, workers, scratch, nan, undeclared };

struct Twice {
  static constexpr std::string_view name = "twice";
  Tensor x;            // [T, D] f32
  Tensor y;            // [T, D] f32
  Tensor forgotten{};  // read, and not told
  Fault fault = Fault::none;

  void check() const {}
  void access(Accesses& a) const {
    a.reads(x);
    a.writes(y);
  }
};

void reference(const Twice& op) {
  for (std::int64_t t = 0; t < op.x.dim(0); ++t)
    for (std::int64_t d = 0; d < op.x.dim(1); ++d) op.y.row<float>(t)[d] = 2 * op.x.row<float>(t)[d];
}

std::size_t scratch(const Twice&, const DeviceInfo&) { return 4; }

void run(const Twice& op, const Exec& exec) noexcept {
  const auto [first, last] = exec.share(op.x.dim(0));
  const std::int64_t D = op.x.dim(1);
  for (std::int64_t t = first; t < last; ++t) {
    const float* x = op.x.row<float>(t);
    float* y = op.y.row<float>(t);
    for (std::int64_t d = 0; d < D; ++d) y[d] = 2 * x[d];
    if (op.fault == Fault::value) y[0] += 0.5f;
    if (op.fault == Fault::undeclared) y[0] += 0 * *op.forgotten.as<float>() + (*op.forgotten.as<float>() > 2 ? 1 : 0);
    if (op.fault == Fault::nan) y[0] = std::nanf("");
    if (op.fault == Fault::gap && t == 0) y[D] = 0;  // between the rows: behind the last one is a guard
    if (op.fault == Fault::input) const_cast<float*>(x)[0] = 7;
    if (op.fault == Fault::workers && exec.worker == 1) y[0] = std::nextafter(y[0], 100.0f);
    if (op.fault == Fault::scratch) exec.scratch[64] = std::byte{1};
  }
}

}  // namespace

template <>
std::span<const Kernel<Twice>> cpu_kernels<Twice>() {
  static constexpr Kernel<Twice> kRows[] = {
      {"always", [](const Twice&, const DeviceInfo&) { return true; }, scratch, run},
      {"never", [](const Twice&, const DeviceInfo&) { return false; }, scratch, run}};
  return kRows;
}

namespace {

std::string failures(Fault fault, OpTolerance tolerance = {.abs = 1e-3}) {
  TestMemory m;
  Twice op{.x = m.random({4, 5}, DType::f32),
           .y = m.output({4, 5}, DType::f32),
           .forgotten = m.random({1}, DType::f32),
           .fault = fault};
  ::testing::TestPartResultArray results;
  {
    ::testing::ScopedFakeTestPartResultReporter reporter(
        ::testing::ScopedFakeTestPartResultReporter::INTERCEPT_ALL_THREADS, &results);
    EXPECT_EQ(op_test(m, op, tolerance), std::vector<std::string>{"always"});
  }
  std::string text;
  for (int i = 0; i < results.size(); ++i) text += results.GetTestPartResult(i).message();
  return text;
}

TEST(OpTest, AcceptsARightRow) { EXPECT_EQ(failures(Fault::none), ""); }

TEST(OpTest, FindsEveryFault) {
  using ::testing::IsSubstring;
  EXPECT_PRED_FORMAT2(IsSubstring, "allowed difference 0.001", failures(Fault::value));
  EXPECT_PRED_FORMAT2(IsSubstring, "got nan", failures(Fault::nan));
  EXPECT_PRED_FORMAT2(IsSubstring, "wrote outside its outputs", failures(Fault::gap));
  EXPECT_PRED_FORMAT2(IsSubstring, "wrote outside its outputs", failures(Fault::input));
  EXPECT_PRED_FORMAT2(IsSubstring, "other bits than with one worker", failures(Fault::workers));
  EXPECT_PRED_FORMAT2(IsSubstring, "wrote past its scratch", failures(Fault::scratch));
  EXPECT_PRED_FORMAT2(IsSubstring, "reads memory that access() does not name", failures(Fault::undeclared));
}

TEST(OpTest, ToleranceIsAbsolutePlusRelative) {
  EXPECT_EQ(failures(Fault::value, {.abs = 0.51}), "");
  EXPECT_NE(failures(Fault::value, {.abs = 0.49}), "");
}

TEST(TestMemory, TensorsLieAtOddOffsetsWithGaps) {
  TestMemory m;
  Tensor f = m.random({3, 4}, DType::f32), b = m.output({2, 4}, DType::bf16), i = m.output({2, 4}, DType::i8);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(f.data) % 8, 4u);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(b.data) % 4, 2u);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(i.data) % 2, 1u);
  EXPECT_EQ(f.row_bytes(), 28);
  EXPECT_EQ(b.row_bytes(), 14);
  EXPECT_TRUE(std::isnan(from_bf16(b.row<std::uint16_t>(1)[3])));
}

}  // namespace
}  // namespace flashrt
