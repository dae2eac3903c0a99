// SPDX-License-Identifier: Apache-2.0
// Recording on a device of the test's own: plan, bind, barriers, splits, errors, readings.
#include "flashrt/core/program.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "flashrt/core/readings.h"
#include "flashrt/core/slot.h"

namespace flashrt {

// y = x * factor, the factor read when the program runs.
struct Scale {
  static constexpr std::string_view name = "scale";
  Tensor x, y;
  const float* factor = nullptr;
  void check() const { require(x.shape == y.shape, "x {} and y {} differ", to_string(x), to_string(y)); }
  void access(Accesses& a) const {
    a.reads(x);
    a.writes(y);
  }
  Cost cost() const { return {static_cast<double>(x.elements()), static_cast<double>(8 * x.elements())}; }
};
void reference(const Scale& op) {
  for (std::int64_t i = 0; i < op.x.dim(0); ++i)
    for (std::int64_t j = 0; j < op.x.dim(1); ++j) op.y.row<float>(i)[j] = op.x.row<float>(i)[j] * *op.factor;
}
template <>
std::span<const Kernel<Scale>> cpu_kernels<Scale>() {
  static const Kernel<Scale> rows[] = {
      {"never", [](const Scale&, const DeviceInfo&) { return false; }, nullptr, nullptr},
      {"wrong_above_two",  // a kernel with a mistake that check must find
       [](const Scale& op, const DeviceInfo&) { return op.x.dim(0) == 3; }, nullptr,
       [](const Scale& op, const Exec& exec) noexcept {
         if (exec.worker) return;
         reference(op);
         op.y.row<float>(2)[0] += 1.0f;
       }},
      {"plain", [](const Scale&, const DeviceInfo&) { return true; },
       [](const Scale&, const DeviceInfo&) { return std::size_t{128}; },
       [](const Scale& op, const Exec& exec) noexcept {
         if (exec.worker == 0) reference(op);
       }}};
  return rows;
}

// y = x * f * f: has no row, only a split.
struct Twice {
  static constexpr std::string_view name = "twice";
  Tensor x, y;
  const float* factor = nullptr;
  void check() const {}
  void access(Accesses& a) const {
    a.reads(x);
    a.writes(y);
  }
  Cost cost() const { return {}; }
};
void reference(const Twice&) {}
template <>
std::span<const Kernel<Twice>> cpu_kernels<Twice>() {
  return {};
}
bool split(const Twice& op, Recorder& r) {
  if (op.x.dim(0) > 2) return false;
  Tensor t = r.temp(op.x.shape, DType::f32);
  r(Scale{op.x, t, op.factor}, "first");
  r(Scale{t, op.y, op.factor}, "second");
  return true;
}

// Ones as integers of one scale a row and their sum; its kernel writes the scale ten times too large.
struct Ones {
  static constexpr std::string_view name = "ones";
  Tensor y;        // [T, D] i8
  Tensor y_scale;  // [T, 2] f32
  void check() const {}
  void access(Accesses& a) const {
    a.writes(y);
    a.writes(y_scale);
  }
  Cost cost() const { return {}; }
  void write(float scale) const {
    for (std::int64_t t = 0; t < y.dim(0); ++t) {
      std::fill_n(y.row<std::int8_t>(t), y.dim(1), std::int8_t{100});
      y_scale.row<float>(t)[0] = scale;
      y_scale.row<float>(t)[1] = 100.0f * static_cast<float>(y.dim(1));
    }
  }
};
void reference(const Ones& op) { op.write(0.01f); }
template <>
std::span<const Kernel<Ones>> cpu_kernels<Ones>() {
  static constexpr Kernel<Ones> kRows[] = {{"ten_times", [](const Ones&, const DeviceInfo&) { return true; }, nullptr,
                                            [](const Ones& op, const Exec&) noexcept { op.write(0.1f); }}};
  return kRows;
}

namespace {

// Runs steps one after another on the calling thread.
class SerialDevice : public Device {
 public:
  std::unique_ptr<Replay> bind(std::span<const Step> steps, std::size_t scratch_bytes) override {
    struct Serial : Replay {
      std::vector<Step> steps;
      std::vector<std::byte> scratch;
      void run() noexcept override {
        for (std::size_t i = 0; i < steps.size(); ++i) run_step(i);
      }
      void run_step(std::size_t i) noexcept override {
        std::atomic<std::int32_t> ticket{0};
        steps[i].run(steps[i].args, Exec{0, 1, scratch.data(), &ticket});
      }
    };
    auto r = std::make_unique<Serial>();
    r->steps.assign(steps.begin(), steps.end());
    r->scratch.resize(scratch_bytes);
    scratch_seen = scratch_bytes;
    return r;
  }
  void parallel(std::int64_t count, const std::function<void(int, std::int64_t)>& body) override {
    for (std::int64_t i = 0; i < count; ++i) body(0, i);
  }
  std::size_t scratch_seen = 0;
  using Device::info_;
};

class ProgramTest : public ::testing::Test {
 protected:
  ProgramTest() : x(state.tensor({2, 3}, DType::f32)), y(state.tensor({2, 3}, DType::f32)), factor(state) {
    for (int i = 0; i < 6; ++i) x.as<float>()[i] = static_cast<float>(i);
    factor.set(2.0f);
  }
  std::string error_of(const Program::Forward& f) {
    try {
      Program::record(device, temporaries, f);
    } catch (const Error& e) {
      return e.what();
    }
    return "no error";
  }
  SerialDevice device;
  Arena state{1 << 16}, temporaries{1 << 20};
  Tensor x, y;
  Slot<float> factor;
};

TEST_F(ProgramTest, ReplaysWithSlotsAndSharedTemporaries) {
  Program p = Program::record(device, temporaries, [&](Recorder& r) {
    Tensor t = x;
    for (int i = 0; i < 4; ++i) {
      Recorder::Scope scope(r, "loop" + std::to_string(i));
      Tensor u = r.temp({2, 3}, DType::f32);
      r(Scale{t, u, factor.address()}, "scale");
      t = u;
    }
    r(Scale{t, y, factor.address()}, "out");
  });
  p.replay();
  EXPECT_EQ(y.as<float>()[5], 5 * 32.0f);
  factor.set(1.0f);
  p.replay();
  EXPECT_EQ(y.as<float>()[5], 5.0f);
  EXPECT_EQ(p.steps()[2].label, "loop2.scale");
  EXPECT_EQ(p.steps()[0].kernel, "plain");
  EXPECT_EQ(p.temporary_bytes(), 2 * 128u);  // four temporaries, two live at a time: 2 rows padded to 64 bytes
  EXPECT_EQ(device.scratch_seen, 128u);
  EXPECT_DOUBLE_EQ(p.total().flops, 30);
}

TEST_F(ProgramTest, BarriersStandOnlyWhereAccessesOverlap) {
  Tensor z = state.tensor({2, 3}, DType::f32);
  Program p = Program::record(device, temporaries, [&](Recorder& r) {
    r(Scale{x, y, factor.address()}, "a");
    r(Scale{x, z, factor.address()}, "independent");
    r(Scale{y, z, factor.address()}, "reads y, writes z");
    r(Scale{x, y, factor.address()}, "overwrites y while it may be read");
  });
  EXPECT_FALSE(p.steps()[0].barrier);
  EXPECT_FALSE(p.steps()[1].barrier);
  EXPECT_TRUE(p.steps()[2].barrier);
  EXPECT_TRUE(p.steps()[3].barrier);
}

TEST_F(ProgramTest, ColumnBlocksOfOneMatrixDoNotMeet) {
  Tensor wide = state.tensor({2, 6}, DType::f32);
  Program p = Program::record(device, temporaries, [&](Recorder& r) {
    r(Scale{x, wide.cols(0, 3), factor.address()}, "left");
    r(Scale{x, wide.cols(3, 3), factor.address()}, "right");
    r(Scale{wide.cols(2, 3), y, factor.address()}, "across");
  });
  EXPECT_FALSE(p.steps()[1].barrier);
  EXPECT_TRUE(p.steps()[2].barrier);
}

TEST_F(ProgramTest, SplitsWhatHasNoRow) {
  Program p = Program::record(device, temporaries, [&](Recorder& r) { r(Twice{x, y, factor.address()}, "sq"); });
  ASSERT_EQ(p.steps().size(), 2u);
  EXPECT_EQ(p.steps()[1].label, "sq.second");
  p.replay();
  EXPECT_EQ(y.as<float>()[1], 4.0f);
  Tensor three = state.tensor({3, 3}, DType::f32);
  std::string e = error_of([&](Recorder& r) { r(Twice{three, three, factor.address()}, "sq"); });
  EXPECT_EQ(e, "twice \"sq\": no kernel takes it; rows tried: none exist for this backend");
}

TEST_F(ProgramTest, ErrorsNameOpLabelAndReason) {
  std::string e = error_of([&](Recorder& r) {
    Recorder::Scope scope(r, "ffn");
    r(Scale{x.rows(0, 1), y, factor.address()}, "up");
  });
  EXPECT_EQ(e, "scale \"ffn.up\": x f32[1, 3] and y f32[2, 3] differ");
  device.info_.kernel_overrides["scale"] = "never";
  e = error_of([&](Recorder& r) { r(Scale{x, y, factor.address()}, "up"); });
  EXPECT_NE(e.find("no kernel takes it"), std::string::npos);
  EXPECT_NE(e.find("never (does not take"), std::string::npos);
  EXPECT_NE(e.find("plain (excluded by --kernel)"), std::string::npos);
}

TEST_F(ProgramTest, RefusesAForwardThatChangesItsMind) {
  int runs = 0;
  std::string e = error_of([&](Recorder& r) {
    Tensor t = r.temp({2, 3 + runs++}, DType::f32);
    r(Scale{t, t, factor.address()}, "x");
  });
  EXPECT_NE(e.find("reads a temporary that nothing has written"), std::string::npos) << e;
  runs = 0;
  e = error_of([&](Recorder& r) {
    for (int i = 0; i <= runs; ++i) r(Scale{x, y, factor.address()}, "x");
    ++runs;
  });
  EXPECT_NE(e.find("launch 1 is scale \"x\" now"), std::string::npos) << e;
  runs = 0;
  e = error_of([&](Recorder& r) {
    for (int i = runs++; i < 2; ++i) r(Scale{x, y, factor.address()}, "x");
  });
  EXPECT_NE(e.find("2 launches when planned and 1 when bound"), std::string::npos) << e;
  runs = 0;
  e = error_of([&](Recorder& r) {
    Tensor t[] = {r.temp({2, 3}, DType::f32), r.temp({2, 3}, DType::f32)};
    for (int i = 0; i < 2; ++i) r(Scale{x, t[(i + runs) % 2], factor.address()}, "x");
    ++runs;
  });
  EXPECT_NE(e.find("launch 0 is scale \"x\" now"), std::string::npos) << e << ": the temporaries changed places";
}

TEST_F(ProgramTest, CheckFindsTheWrongKernelAndLeavesMemoryAlone) {
  Tensor three = state.tensor({3, 3}, DType::f32), out = state.tensor({3, 3}, DType::f32);
  for (int i = 0; i < 9; ++i) three.as<float>()[i] = 1.0f;
  Program p = Program::record(device, temporaries, [&](Recorder& r) {
    r(Scale{x, y, factor.address()}, "good");
    r(Scale{three, out, factor.address()}, "bad");
  });
  auto report = check(p);
  EXPECT_EQ(report[0].error.relative_l2, 0);
  EXPECT_EQ(report[1].label, "bad");
  EXPECT_EQ(report[1].kernel, "wrong_above_two");
  EXPECT_NEAR(report[1].error.max_abs, 1.0, 1e-6);
  EXPECT_EQ(out.row<float>(2)[0], 3.0f) << "the kernel's own output stays";
  p.forget_accesses();
  EXPECT_THROW(check(p), Error);
}

TEST_F(ProgramTest, CheckAndCompareSeeAWrongScaleBesideLargeSums) {
  Tensor q = state.tensor({2, 300}, DType::i8), scale = state.tensor({2, 2}, DType::f32);
  auto forward = [&](Recorder& r) { r(Ones{q, scale}, "ones"); };
  Program fast = Program::record(device, temporaries, forward);
  EXPECT_NEAR(check(fast)[0].error.relative_l2, 9, 1e-3);
  Program right = Program::record(device, temporaries, forward, Reading::reference);
  EXPECT_NEAR(compare(fast, right)[0].error.relative_l2, 9, 1e-3);
}

TEST_F(ProgramTest, CompareAndExplainSpeakByLabel) {
  auto forward = [&](Recorder& r) { r(Scale{x, y, factor.address()}, "layer3.out"); };
  Program a = Program::record(device, temporaries, forward);
  Program b = Program::record(device, temporaries, forward, Reading::reference);
  EXPECT_EQ(b.steps()[0].kernel, "reference");
  auto report = compare(a, b);
  ASSERT_EQ(report.size(), 1u);
  EXPECT_EQ(report[0].error.cosine, 1);
  auto groups = group_steps(explain(a));
  ASSERT_EQ(groups.size(), 1u);
  EXPECT_EQ(groups[0].label, "layer*.out");
  EXPECT_GT(groups[0].us, 0);
}

TEST(Difference, CatchesWhatCosineHides) {
  Difference d = difference({2, 4}, {1, 2});
  EXPECT_NEAR(d.cosine, 1.0, 1e-12);
  EXPECT_NEAR(d.relative_l2, 1.0, 1e-12);
  EXPECT_FALSE(difference({NAN}, {1}).finite);
  EXPECT_FALSE(difference({1, 2}, {1}).finite);
}

}  // namespace
}  // namespace flashrt
