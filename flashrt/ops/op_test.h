// SPDX-License-Identifier: Apache-2.0
// The test every op gets: each row that this machine can run, against the op's reference, on awkward memory.
//
//     TestMemory m;
//     Quantize op{.x = m.random({5, 37}, DType::f32), .y = m.output({5, 37}, DType::i8), .y_scale = ...};
//     op_test(m, op, {.abs = 1e-6});
//
// Tensors lie at odd offsets with gaps between their rows. Each row runs with 1, 2 and 3 workers, one after another
// from the last to the first and once as threads at the same time; all must give the same bits, must agree with the
// reference, and must leave every byte that is no element of a written tensor as it was. What access() does not name is
// then overwritten, which must change nothing; under AddressSanitizer reads around a tensor are errors too.
#pragma once

#include <gtest/gtest.h>
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

#include <atomic>
#include <cmath>
#include <cstring>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

#include "flashrt/backends/cpu/features.h"
#include "flashrt/core/op.h"
#include "flashrt/core/packed_rhs.h"
#include "flashrt/ops/cpu_rows.h"

namespace flashrt {

// Owns the memory of a test's tensors.
class TestMemory {
 public:
  explicit TestMemory(std::uint64_t seed = 1) : random_(seed) {}
  TestMemory(const TestMemory&) = delete;
  TestMemory& operator=(const TestMemory&) = delete;

  // Uniform values in [lo, hi], rounded to the type.
  Tensor random(Shape shape, DType dtype, double lo = -1, double hi = 1) {
    Tensor t = output(shape, dtype);
    std::uniform_real_distribution<double> draw(lo, hi);
    for_each_index(t, [&](std::int64_t i) { store_from_float(t.data, dtype, i, static_cast<float>(draw(random_))); });
    return t;
  }
  // Memory of a pattern (NaN as f32 and bf16) that an op must overwrite. Only the first dimension has gaps.
  Tensor output(Shape shape, DType dtype) {
    Tensor t(nullptr, shape, dtype);
    if (shape.rank >= 2) t.stride[0] += kGap;
    t.data = allocate(static_cast<std::size_t>(t.span_bytes()), static_cast<std::size_t>(bits(dtype) + 7) / 8);
    return t;
  }
  Tensor filled(Shape shape, DType dtype, float value) {
    Tensor t = output(shape, dtype);
    for_each_index(t, [&](std::int64_t i) { store_from_float(t.data, dtype, i, value); });
    return t;
  }
  // A packed right-hand side of uniform values; padding is zero.
  Tensor packed(Shape shape, DType dtype, double lo = -1, double hi = 1) {
    Tensor t = packed_rhs(allocate(static_cast<std::size_t>(packed_rhs_bytes(shape, dtype)), 64), shape, dtype);
    clear_packed_rhs(t);
    std::uniform_real_distribution<double> draw(lo, hi);
    std::int64_t B = shape.rank == 3 ? shape[0] : 1, N = shape[-2], K = shape[-1];
    for (std::int64_t b = 0; b < B; ++b)
      for (std::int64_t n = 0; n < N; ++n)
        for (std::int64_t k = 0; k < K; ++k) set_packed_value(t, b, n, k, static_cast<float>(draw(random_)));
    return t;
  }
  // A value at an address, such as a slot's.
  template <class T>
  T* value(const T& v) {
    static_assert(std::is_trivially_copyable_v<T>);
    auto* p = reinterpret_cast<T*>(allocate(sizeof(T), alignof(T)));
    std::memcpy(p, &v, sizeof(T));
    blocks_.back().outside = true;
    return p;
  }
  // Says that `t` is memory of the caller that a slot points at, such as a picture: no launch of a program writes it.
  void belongs_to_caller(const Tensor& t) {
    for (Block& b : blocks_)
      if (t.data >= b.bytes.get() && t.data < b.bytes.get() + b.size) b.outside = true;
  }

  // Calls f with the element offset (from data) of every element of a strided tensor.
  template <class F>
  static void for_each_index(const Tensor& t, F f) {
    for (std::int64_t n = 0, count = t.elements(); n < count; ++n) {
      std::int64_t rest = n, at = 0;
      for (int d = t.rank() - 1; d >= 0; --d) {
        at += rest % t.dim(d) * t.stride[static_cast<std::size_t>(d)];
        rest /= t.dim(d);
      }
      f(at);
    }
  }

 private:
  template <class Op>
  friend class OpTest;
  static constexpr std::int64_t kGap = 3;     // elements between rows
  static constexpr std::size_t kGuard = 128;  // bytes before and behind
  static constexpr std::byte kPattern{0xff};

  struct Block {
    std::unique_ptr<std::byte[]> bytes;
    std::size_t size;
    std::size_t first = 0, used = 0;  // of the tensor; around it are guards
    bool outside = false;             // of every program
  };
  // `align` is exact: the address is an odd multiple of it.
  std::byte* allocate(std::size_t bytes, std::size_t align) {
    std::size_t size = bytes + 2 * kGuard + 2 * align;
    blocks_.push_back({.bytes = std::make_unique<std::byte[]>(size), .size = size});
    std::byte* start = blocks_.back().bytes.get();
    std::memset(start, static_cast<int>(kPattern), size);
    auto at = reinterpret_cast<std::uintptr_t>(start + kGuard);
    std::size_t shift = (2 * align + align - at % (2 * align)) % (2 * align);
    blocks_.back().first = kGuard + shift;
    blocks_.back().used = bytes;
    return start + kGuard + shift;
  }

  std::vector<Block> blocks_;
  std::mt19937_64 random_;
};

// |actual - expected| <= abs + rel * |expected| for float outputs, <= steps for integer outputs.
struct OpTolerance {
  double abs = 0, rel = 0;
  int steps = 0;
  // Outputs that `inspect` judges instead, by their data pointer.
  std::vector<const std::byte*> by_inspection{};
};

template <class Op>
class OpTest {
 public:
  OpTest(TestMemory& memory, const Op& op, OpTolerance tolerance, std::function<void(const Op&)> inspect)
      : memory_(memory), op_(op), tolerance_(std::move(tolerance)), inspect_(std::move(inspect)) {}

  // The names of the rows that ran.
  std::vector<std::string> run() {
    std::vector<std::string> ran;
    op_.check();
    find_outputs();
    if (::testing::Test::HasFatalFailure()) return ran;
    before_ = snapshot();
    reference(op_);
    expected_ = snapshot();
    check_untouched("reference", expected_);
    if (inspect_) inspect_(op_);
    DeviceInfo device = cpu::detect();
    for (const Kernel<Op>& row : cpu_kernels<Op>()) {
      if (!row.supports(op_, device)) continue;
      ran.emplace_back(row.name);
      std::vector<Bytes> first;
      for (int workers = 1; workers <= 3; ++workers) {
        device.workers = workers;
        for (bool threads : {false, true}) {
          std::string what =
              std::string(row.name) + ", " + std::to_string(workers) + (threads ? " threads" : " workers");
          SCOPED_TRACE(std::string(Op::name) + " " + what);
          restore(before_);
          execute(row, device, threads);
          std::vector<Bytes> now = snapshot();
          if (first.empty()) {
            compare();
            check_untouched(what, now);
            if (inspect_) inspect_(op_);
            first = std::move(now);
            check_undeclared(row, device, first);
          } else {
            EXPECT_TRUE(now == first) << "other bits than with one worker";
          }
        }
      }
    }
    EXPECT_FALSE(ran.empty()) << Op::name << ": no row of this machine takes the op";
    restore(before_);
    return ran;
  }

 private:
  using Bytes = std::vector<std::byte>;

  void find_outputs() {
    Accesses accesses;
    op_.access(accesses);
    for (const Access& a : accesses.all())
      if (a.write) outputs_.push_back(a.tensor);
    ASSERT_FALSE(outputs_.empty()) << Op::name << " writes nothing";
    for (const Tensor& t : outputs_)
      ASSERT_NE(owner(t.data), nullptr) << "an output of the op is not of the TestMemory";
  }

  const TestMemory::Block* owner(const std::byte* p) const {
    for (const auto& b : memory_.blocks_)
      if (p >= b.bytes.get() && p < b.bytes.get() + b.size) return &b;
    return nullptr;
  }

  std::vector<Bytes> snapshot() const {
    std::vector<Bytes> all;
    for (const auto& b : memory_.blocks_) all.emplace_back(b.bytes.get(), b.bytes.get() + b.size);
    return all;
  }
  void restore(const std::vector<Bytes>& all) {
    for (std::size_t i = 0; i < all.size(); ++i)
      std::memcpy(memory_.blocks_[i].bytes.get(), all[i].data(), all[i].size());
  }

  // Every byte outside the elements of the outputs must be as before.
  void check_untouched(const std::string& what, const std::vector<Bytes>& now) const {
    for (std::size_t i = 0; i < now.size(); ++i) {
      const std::byte* base = memory_.blocks_[i].bytes.get();
      std::vector<bool> written(now[i].size());
      for (const Tensor& t : outputs_) {
        if (owner(t.data) != &memory_.blocks_[i]) continue;
        auto first = static_cast<std::size_t>(t.data - base);
        auto mark = [&](std::size_t at, std::size_t n) {
          std::fill_n(written.begin() + static_cast<long>(at), n, true);
        };
        if (t.layout == Layout::packed_rhs) {
          mark(first, static_cast<std::size_t>(t.span_bytes()));
        } else {
          auto size = static_cast<std::size_t>(bits(t.dtype) / 8);
          TestMemory::for_each_index(t,
                                     [&](std::int64_t e) { mark(first + static_cast<std::size_t>(e) * size, size); });
        }
      }
      for (std::size_t k = 0; k < now[i].size(); ++k)
        if (!written[k] && now[i][k] != before_[i][k])
          FAIL() << Op::name << " " << what << " wrote outside its outputs: block " << i << ", byte " << k << " of "
                 << now[i].size();
    }
  }

  // Memory that access() does not name must not matter: a barrier would be missing before a launch that reads it.
  void check_undeclared(const Kernel<Op>& row, const DeviceInfo& device, const std::vector<Bytes>& first) {
    Accesses accesses;
    op_.access(accesses);
    restore(before_);
    std::vector<bool> declared;
    for (const auto& b : memory_.blocks_) {
      declared.push_back(b.outside);
      for (const Access& a : accesses.all()) declared.back() = declared.back() || owner(a.tensor.data) == &b;
      if (!declared.back()) std::memset(b.bytes.get(), 0x5a, b.size);
    }
    execute(row, device, false);
    std::vector<Bytes> now = snapshot();
    for (std::size_t i = 0; i < now.size(); ++i)
      EXPECT_TRUE(!declared[i] || now[i] == first[i]) << "reads memory that access() does not name";
  }

  void execute(const Kernel<Op>& row, const DeviceInfo& device, bool threads) const {
    guard(true);
    launch(row, device, threads);
    guard(false);
  }
  void guard([[maybe_unused]] bool on) const {
#if defined(__SANITIZE_ADDRESS__)
    for (const auto& b : memory_.blocks_) {
      const std::byte *start = b.bytes.get(), *end = start + b.first + b.used;
      if (on) {
        __asan_poison_memory_region(start, b.first);
        __asan_poison_memory_region(end, static_cast<std::size_t>(start + b.size - end));
      } else {
        __asan_unpoison_memory_region(start, b.size);
      }
    }
#endif
  }

  void launch(const Kernel<Op>& row, const DeviceInfo& device, bool threads) const {
    constexpr std::size_t kAlign = 64;
    std::size_t bytes = row.scratch ? (row.scratch(op_, device) + kAlign - 1) / kAlign * kAlign : 0;
    std::atomic<std::int32_t> ticket{0};
    auto count = static_cast<std::size_t>(device.workers);
    std::vector<Bytes> scratch(count, Bytes(bytes + 2 * kAlign, TestMemory::kPattern));
    std::vector<Exec> execs(count);
    for (std::size_t w = 0; w < count; ++w) {
      auto at = reinterpret_cast<std::uintptr_t>(scratch[w].data());
      execs[w] = {.worker = static_cast<int>(w),
                  .workers = device.workers,
                  .scratch = scratch[w].data() + (kAlign - at % kAlign) % kAlign,
                  .ticket = &ticket};
    }
    if (threads) {
      std::vector<std::thread> crew;
      for (const Exec& exec : execs) crew.emplace_back([&row, &exec, this] { row.run(op_, exec); });
      for (std::thread& t : crew) t.join();
    } else {
      for (std::size_t w = count; w-- > 0;) row.run(op_, execs[w]);
    }
    for (std::size_t w = 0; w < count; ++w)
      for (const std::byte* p = execs[w].scratch + bytes; p < scratch[w].data() + scratch[w].size(); ++p)
        if (*p != TestMemory::kPattern) FAIL() << "worker " << w << " wrote past its scratch";
  }

  // Reads an element of a snapshot that is not in memory now.
  std::byte* in(const std::vector<Bytes>& all, const Tensor& t) const {
    for (std::size_t i = 0; i < all.size(); ++i)
      if (owner(t.data) == &memory_.blocks_[i])
        return const_cast<std::byte*>(all[i].data()) + (t.data - memory_.blocks_[i].bytes.get());
    return nullptr;
  }

  void compare() const {
    for (std::size_t o = 0; o < outputs_.size(); ++o) {
      const Tensor& t = outputs_[o];
      bool inspected = false;
      for (const std::byte* p : tolerance_.by_inspection) inspected |= p == t.data;
      if (inspected) continue;
      Tensor e = t;
      e.data = in(expected_, t);
      if (t.layout == Layout::packed_rhs) {
        std::int64_t B = t.rank() == 3 ? t.dim(0) : 1, N = t.shape[-2], K = t.shape[-1];
        for (std::int64_t i = 0; i < B * N * K; ++i) {
          std::int64_t b = i / (N * K), n = i / K % N, k = i % K;
          if (!close(t, packed_value(e, b, n, k), packed_value(t, b, n, k), o, i)) return;
        }
        continue;
      }
      bool good = true;
      std::int64_t i = 0;
      TestMemory::for_each_index(t, [&](std::int64_t at) {
        if (good) good = close(t, load_as_float(e.data, t.dtype, at), load_as_float(t.data, t.dtype, at), o, i);
        ++i;
      });
      if (!good) return;
    }
  }

  bool close(const Tensor& t, double expected, double actual, std::size_t output, std::int64_t i) const {
    double allowed = is_float(t.dtype) ? tolerance_.abs + tolerance_.rel * std::fabs(expected) : tolerance_.steps;
    bool good =
        std::isnan(expected) ? std::isnan(actual) : expected == actual || std::fabs(actual - expected) <= allowed;
    EXPECT_TRUE(good) << "output " << output << " " << to_string(t) << " element " << i << ": expected " << expected
                      << ", got " << actual << ", allowed difference " << allowed;
    return good;
  }

  TestMemory& memory_;
  const Op op_;
  OpTolerance tolerance_;
  std::function<void(const Op&)> inspect_;
  std::vector<Tensor> outputs_;
  std::vector<Bytes> before_, expected_;
};

// Returns the names of the rows that ran; it is a failure when there are none. `inspect` is called after the reference
// and after every row, with the outputs in place.
template <class Op>
std::vector<std::string> op_test(TestMemory& memory, const Op& op, OpTolerance tolerance = {},
                                 std::type_identity_t<std::function<void(const Op&)>> inspect = {}) {
  return OpTest<Op>(memory, op, std::move(tolerance), std::move(inspect)).run();
}

// check() must refuse the op with a text that contains `part`.
template <class Op>
void expect_refused(const Op& op, const std::string& part) {
  try {
    op.check();
  } catch (const std::exception& e) {
    EXPECT_NE(std::string(e.what()).find(part), std::string::npos) << "the text is: " << e.what();
    return;
  }
  ADD_FAILURE() << Op::name << " was accepted; expected it to be refused for: " << part;
}

}  // namespace flashrt
