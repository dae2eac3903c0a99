// SPDX-License-Identifier: Apache-2.0
#include "flashrt/core/recorder.h"

#include <algorithm>

#include "flashrt/core/arena.h"
#include "flashrt/core/packed_rhs.h"

namespace flashrt {
namespace {

// A row of the plan reading's made-up address space: never mapped, never read.
std::byte* imaginary(std::size_t offset) { return reinterpret_cast<std::byte*>((std::uintptr_t{1} << 52) + offset); }

// Rows of a multiple of 512 bytes share few cache sets; 64 bytes more spread them over all of them.
std::int64_t padded_row(std::int64_t columns, DType t) {
  std::int64_t bytes = round_up(bytes_for(t, columns), 64);
  if (bytes % 512 == 0) bytes += 64;
  return bytes * 8 / bits(t);
}

struct Interval {
  const std::byte *first, *last;
};
Interval interval(const Tensor& t) { return {t.data, t.data + t.span_bytes()}; }

bool conflict(const Access& a, const Access& b) {
  if (!a.write && !b.write) return false;
  Interval x = interval(a.tensor), y = interval(b.tensor);
  if (x.first >= y.last || y.first >= x.last) return false;
  // Column blocks of one matrix interleave without touching: same row pitch, disjoint columns.
  const Tensor &p = a.tensor, &q = b.tensor;
  if (p.layout == Layout::strided && q.layout == Layout::strided && p.rank() == 2 && q.rank() == 2 &&
      p.row_bytes() == q.row_bytes() && p.row_bytes() > 0) {
    std::ptrdiff_t pitch = p.row_bytes(), shift = ((q.data - p.data) % pitch + pitch) % pitch;
    std::int64_t pw = bytes_for(p.dtype, p.dim(1)), qw = bytes_for(q.dtype, q.dim(1));
    if (shift >= pw && shift + qw <= pitch) return false;
  }
  return true;
}

// Whether the bind phase makes the call that was planned: of the same op, with the same temporaries.
bool same_call(const Step& planned, const Step& now) {
  return planned.op == now.op && planned.label == now.label &&
         std::equal(planned.accesses.begin(), planned.accesses.end(), now.accesses.begin(), now.accesses.end(),
                    [](const Access& a, const Access& b) {
                      return a.tensor.temp == b.tensor.temp && a.write == b.write && a.tensor.shape == b.tensor.shape;
                    });
}

}  // namespace

Recorder::Scope::Scope(Recorder& r, std::string_view name) : recorder_(r), length_(r.prefix_.size()) {
  r.prefix_ += name;
  r.prefix_ += '.';
}
Recorder::Scope::~Scope() { recorder_.prefix_.resize(length_); }

Tensor Recorder::temp(Shape shape, DType dtype) {
  require(shape.rank >= 1 && shape.elements() > 0, "a temporary needs at least one element, not {}", to_string(shape));
  Tensor t(imaginary(0), shape, dtype);
  if (shape.rank == 2) t.stride[0] = shape[0] == 1 ? shape[1] : padded_row(shape[1], dtype);
  std::size_t index = next_temp_++;
  t.temp = static_cast<int>(index);
  if (phase_ == Phase::plan) {
    std::size_t offset = planned_bytes_;
    std::size_t bytes =
        static_cast<std::size_t>(shape.rank == 2 ? bytes_for(dtype, shape[0] * t.stride[0]) : t.span_bytes());
    planned_bytes_ += static_cast<std::size_t>(round_up(static_cast<std::int64_t>(bytes), Arena::kAlign));
    t.data = imaginary(offset);
    temps_.push_back({bytes, -1, -1, shape, dtype});
  } else {
    require(index < temps_.size() && temps_[index].shape == shape && temps_[index].dtype == dtype,
            "the forward function made other calls when it ran again: temporary {} is {} now; it must depend on "
            "configuration and shapes only",
            index, to_string(t));
    t.data = base_ + temps_[index].bytes;
  }
  return t;
}

const void* Recorder::keep(const void* args, std::size_t size, const void* run_pointer) {
  if (phase_ == Phase::plan) return nullptr;
  args_.push_back(std::make_unique<std::byte[]>(row_offset(size) + sizeof(void*)));
  std::memcpy(args_.back().get(), args, size);
  std::memcpy(args_.back().get() + row_offset(size), run_pointer, sizeof(void*));
  return args_.back().get();
}

bool Recorder::allowed(std::string_view op, std::string_view row) const {
  auto it = device_.kernel_overrides.find(op);
  if (it == device_.kernel_overrides.end()) it = device_.kernel_overrides.find("*");
  return it == device_.kernel_overrides.end() || it->second == row;
}

void Recorder::append(Step step) {
  auto index = static_cast<std::int64_t>(steps_.size());
  if (phase_ == Phase::plan) {
    for (const Access& a : step.accesses) {
      if (a.tensor.temp < 0) continue;
      Lifetime& life = temps_[static_cast<std::size_t>(a.tensor.temp)];
      if (life.first < 0) {
        require(a.write, "step \"{}\" reads a temporary that nothing has written", step.label);
        life.first = index;
      }
      life.last = index;
    }
  } else {
    require(steps_.size() < planned_.size() && same_call(planned_[steps_.size()], step),
            "the forward function made other calls when it ran again: launch {} is {} \"{}\" now; it must depend on "
            "configuration and shapes only",
            index, step.op, step.label);
    // A barrier only where an access truly overlaps one of the steps that may still be running.
    for (std::size_t i = steps_.size(); i-- > 0 && !step.barrier;) {
      for (const Access& now : step.accesses)
        for (const Access& before : steps_[i].accesses) step.barrier |= conflict(now, before);
      if (steps_[i].barrier) break;
    }
  }
  steps_.push_back(std::move(step));
}

void Recorder::start_binding(std::byte* base) {
  base_ = base;
  phase_ = Phase::bind;
  planned_ = std::move(steps_);
  steps_.clear();
  next_temp_ = 0;
  prefix_.clear();
}

}  // namespace flashrt
