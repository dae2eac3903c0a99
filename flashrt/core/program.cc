// SPDX-License-Identifier: Apache-2.0
#include "flashrt/core/program.h"

#include <algorithm>

#include "flashrt/core/error.h"

namespace flashrt {

Program Program::record(Device& device, Arena& temporaries, const Forward& forward, Reading reading) {
  Recorder r(device.info(), reading);
  forward(r);
  MemoryPlan plan = plan_memory(r.temps_, Arena::kAlign);
  require(plan.bytes <= temporaries.capacity(), "the program needs {} MiB of temporaries, {} MiB are reserved",
          plan.bytes >> 20, temporaries.capacity() >> 20);
  temporaries.prefault(plan.bytes);
  // From here a temporary's `bytes` is its offset.
  for (std::size_t i = 0; i < r.temps_.size(); ++i) r.temps_[i].bytes = plan.offset[i];
  r.start_binding(temporaries.data());
  forward(r);
  require(r.steps_.size() == r.planned_.size(),
          "the forward function made {} launches when planned and {} when bound; it must depend on configuration and "
          "shapes only",
          r.planned_.size(), r.steps_.size());
  Program program;
  program.steps_ = std::move(r.steps_);
  program.args_ = std::move(r.args_);
  program.temporary_bytes_ = plan.bytes;
  std::size_t scratch = 0;
  for (const Step& s : program.steps_) scratch = std::max(scratch, s.scratch);
  program.replay_ = device.bind(program.steps_, scratch);
  return program;
}

void Program::forget_accesses() {
  for (Step& s : steps_) s.accesses = {};
}

Cost Program::total() const {
  Cost sum;
  for (const Step& s : steps_) {
    sum.flops += s.cost.flops;
    sum.bytes += s.cost.bytes;
  }
  return sum;
}

}  // namespace flashrt
