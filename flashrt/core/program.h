// SPDX-License-Identifier: Apache-2.0
// A forward pass recorded once and replayed for ever.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "flashrt/core/arena.h"
#include "flashrt/core/device.h"
#include "flashrt/core/recorder.h"

namespace flashrt {

class Program {
 public:
  using Forward = std::function<void(Recorder&)>;

  // Runs `forward` twice (plan, bind) and binds the result to the device. Temporaries are laid out in `temporaries`,
  // from its start: programs that never run at the same time may share one arena. Throws Error.
  static Program record(Device& device, Arena& temporaries, const Forward& forward, Reading reading = Reading::fast);

  // Runs every step. No allocation, lock, log or exception; system calls only to wake sleeping workers.
  void replay() noexcept { replay_->run(); }
  // Runs one step alone.
  void replay_step(std::size_t i) noexcept { replay_->run_step(i); }

  std::span<const Step> steps() const { return steps_; }
  std::size_t temporary_bytes() const { return temporary_bytes_; }
  Cost total() const;  // sums of flops and bytes
  // Drops what only check and compare read, most of a program's own memory.
  void forget_accesses();

 private:
  std::vector<Step> steps_;
  std::vector<std::unique_ptr<std::byte[]>> args_;
  std::unique_ptr<Replay> replay_;
  std::size_t temporary_bytes_ = 0;
};

}  // namespace flashrt
