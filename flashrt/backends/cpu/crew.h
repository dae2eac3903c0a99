// SPDX-License-Identifier: Apache-2.0
// One pinned thread a core that runs a list of launches together, spinning only while a replay runs.
//
// Workers sleep on a futex between replays. Inside a replay they meet at a spin barrier that backs off to a futex, so
// that a descheduled peer costs its own delay and not a burning core. The thread that calls run() only waits: its own
// affinity is never touched, since threads it starts later would inherit it.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "flashrt/core/op.h"

namespace flashrt::cpu {

// Arrive-and-wait for a fixed number of workers.
class SpinBarrier {
 public:
  explicit SpinBarrier(int workers) : workers_(workers) {}
  void wait() noexcept;

 private:
  const int workers_;
  alignas(64) std::atomic<int> arrived_{0};
  alignas(64) std::atomic<std::uint32_t> generation_{0};
  std::atomic<int> sleepers_{0};
};

struct Launch {
  void (*run)(const void*, const Exec&) noexcept = nullptr;
  const void* args = nullptr;
  bool barrier = false;
};

class Crew {
 public:
  // Starts the workers, each pinned to one allowed core when `pin`; a crew of one starts none and runs on the caller.
  // Throws Error when there are more workers than allowed cores and pinning is asked for, or a thread cannot start.
  Crew(int workers, bool pin);
  ~Crew();
  Crew(const Crew&) = delete;
  Crew& operator=(const Crew&) = delete;

  int workers() const { return workers_; }
  // Runs the launches in order; `tickets` (one a launch, zeroed here) and `scratch` (one block a worker) are the
  // caller's. One call at a time.
  void run(std::span<const Launch> launches, std::atomic<std::int32_t>* tickets, std::byte* scratch,
           std::size_t scratch_stride) noexcept;

 private:
  struct Job {
    std::span<const Launch> launches;
    std::atomic<std::int32_t>* tickets = nullptr;
    std::byte* scratch = nullptr;
    std::size_t scratch_stride = 0;
  };
  struct Threads;

  void work(int worker) noexcept;
  void serve(int worker) noexcept;

  const int workers_;
  const bool pin_;
  const int process_;  // whose threads the workers are; a forked child has none
  std::vector<int> cores_;
  Job job_;
  SpinBarrier barrier_;
  alignas(64) std::atomic<std::uint32_t> go_{0};    // bumped to start a job; workers sleep on it
  alignas(64) std::atomic<std::uint32_t> done_{0};  // bumped when the job has ended; the caller sleeps on it
  std::atomic<bool> stop_{false};
  std::unique_ptr<Threads> threads_;
};

}  // namespace flashrt::cpu
