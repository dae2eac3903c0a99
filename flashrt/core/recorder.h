// SPDX-License-Identifier: Apache-2.0
// Turns one run of a forward function into a list of steps with kernels chosen and temporaries placed.
//
// The forward runs twice: in the plan reading temporaries have made-up addresses and only their lifetimes are noted; in
// the bind reading they have the addresses the planner gave them. Both runs must make the same calls.
#pragma once

#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "flashrt/core/error.h"
#include "flashrt/core/memory_planner.h"
#include "flashrt/core/op.h"

namespace flashrt {

// One launch of a recorded program.
struct Step {
  std::string_view op;      // op name
  std::string label;        // where in the model
  std::string_view kernel;  // row name
  Cost cost;
  std::vector<Access> accesses;
  bool barrier = false;  // must wait until every earlier step since the last barrier has ended
  std::size_t scratch = 0;
  const void* args = nullptr;  // the op struct
  void (*run)(const void*, const Exec&) noexcept = nullptr;
  void (*reference)(const void*) = nullptr;
};

// Where the bound row's function pointer lies behind an op of `size` bytes.
constexpr std::size_t row_offset(std::size_t size) { return (size + 15) / 16 * 16; }

enum class Reading : std::uint8_t {
  fast,       // the best row of every op
  reference,  // every op's reference: slow, the definition of right
};

class Recorder {
 public:
  // An uninitialised temporary that lives from its first to its last access. Rows are padded so that a column of
  // rows does not fall into one cache set.
  Tensor temp(Shape, DType);

  // Appends an op. Throws Error when its arguments are wrong or no row takes it.
  template <OpType Op>
  void operator()(const Op& op, std::string_view label);

  const DeviceInfo& device() const { return device_; }

  // Labels of steps recorded while the scope lives start with `name` and a dot.
  class Scope {
   public:
    Scope(Recorder& r, std::string_view name);
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    Recorder& recorder_;
    std::size_t length_;
  };

 private:
  friend class Program;
  enum class Phase : std::uint8_t { plan, bind };
  Recorder(const DeviceInfo& device, Reading reading) : device_(device), reading_(reading) {}

  template <class Op>
  const Kernel<Op>* choose(const Op& op, std::string& declined) const;
  // Copies an op and, behind it, the pointer to its row's function; null while planning.
  const void* keep(const void* args, std::size_t size, const void* run_pointer);
  void append(Step step);
  // Ends the plan phase: places the temporaries and rewinds for the bind phase.
  void start_binding(std::byte* base);
  bool allowed(std::string_view op, std::string_view row) const;

  const DeviceInfo& device_;
  Reading reading_;
  Phase phase_ = Phase::plan;
  std::string prefix_;
  std::vector<Step> steps_;
  std::vector<std::unique_ptr<std::byte[]>> args_;
  std::vector<Step> planned_;  // the plan phase's steps
  std::vector<Lifetime> temps_;
  std::size_t next_temp_ = 0, planned_bytes_ = 0;
  std::byte* base_ = nullptr;
};

template <class Op>
const Kernel<Op>* Recorder::choose(const Op& op, std::string& declined) const {
  for (const Kernel<Op>& row : kernels<Op>(device_.backend)) {
    if (!allowed(Op::name, row.name)) {
      declined += fmt::format(" {} (excluded by --kernel)", row.name);
    } else if (!row.supports(op, device_)) {
      declined += fmt::format(" {} (does not take these arguments on this device)", row.name);
    } else {
      return &row;
    }
  }
  return nullptr;
}

template <OpType Op>
void Recorder::operator()(const Op& op, std::string_view label) {
  try {
    op.check();
  } catch (const Error& e) {
    fail("{} \"{}{}\": {}", Op::name, prefix_, label, e.what());
  }
  std::string declined;
  const Kernel<Op>* row = choose(op, declined);
  if (!row) {
    if constexpr (Splittable<Op>) {
      Scope scope(*this, label);
      if (split(op, *this)) return;
    }
    fail("{} \"{}{}\": no kernel takes it; rows tried:{}", Op::name, prefix_, label,
         declined.empty() ? " none exist for this backend" : declined);
  }
  Accesses accesses;
  op.access(accesses);
  Step step;
  step.op = Op::name;
  step.label = prefix_ + std::string(label);
  step.kernel = reading_ == Reading::reference ? std::string_view("reference") : row->name;
  step.cost = op.cost();
  step.accesses.assign(accesses.all().begin(), accesses.all().end());
  step.scratch = row->scratch ? row->scratch(op, device_) : 0;
  step.args = keep(&op, sizeof(Op), &row->run);
  step.reference = [](const void* args) { reference(*static_cast<const Op*>(args)); };
  if (reading_ == Reading::reference) {
    step.run = [](const void* args, const Exec& exec) noexcept {
      if (exec.worker == 0) reference(*static_cast<const Op*>(args));
    };
  } else {
    // The row's function pointer is kept behind the op, so that one thunk per op type serves every row.
    step.run = [](const void* args, const Exec& exec) noexcept {
      void (*run)(const Op&, const Exec&) noexcept;
      std::memcpy(&run, static_cast<const std::byte*>(args) + row_offset(sizeof(Op)), sizeof(run));
      run(*static_cast<const Op*>(args), exec);
    };
  }
  append(std::move(step));
}

}  // namespace flashrt
