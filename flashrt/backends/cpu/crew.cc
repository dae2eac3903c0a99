// SPDX-License-Identifier: Apache-2.0
#include "flashrt/backends/cpu/crew.h"

#include <immintrin.h>
#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <climits>
#include <system_error>
#include <thread>

#include "flashrt/backends/cpu/cores.h"
#include "flashrt/core/error.h"

namespace flashrt::cpu {
namespace {

// About 100 us of pauses: longer than any launch imbalance seen, shorter than a scheduler slice.
constexpr int kSpins = 4000;
// MXCSR as a process starts with it: to nearest, denormals kept, no traps.
constexpr unsigned kFloatMode = 0x1f80;

void futex_wait(std::atomic<std::uint32_t>& word, std::uint32_t seen) noexcept {
  ::syscall(SYS_futex, reinterpret_cast<std::uint32_t*>(&word), FUTEX_WAIT_PRIVATE, seen, nullptr, nullptr, 0);
}
void futex_wake_all(std::atomic<std::uint32_t>& word) noexcept {
  ::syscall(SYS_futex, reinterpret_cast<std::uint32_t*>(&word), FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0);
}

void pin_to(int core) noexcept {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<unsigned>(core), &set);
  ::sched_setaffinity(0, sizeof(set), &set);  // refused in some containers: slower, not wrong
}

}  // namespace

void SpinBarrier::wait() noexcept {
  std::uint32_t generation = generation_.load(std::memory_order_acquire);
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) == workers_ - 1) {
    arrived_.store(0, std::memory_order_relaxed);
    generation_.store(generation + 1, std::memory_order_seq_cst);
    if (sleepers_.load(std::memory_order_seq_cst) > 0) futex_wake_all(generation_);
    return;
  }
  for (int i = 0; i < kSpins; ++i) {
    if (generation_.load(std::memory_order_acquire) != generation) return;
    _mm_pause();
  }
  sleepers_.fetch_add(1, std::memory_order_seq_cst);
  while (generation_.load(std::memory_order_seq_cst) == generation) futex_wait(generation_, generation);
  sleepers_.fetch_sub(1, std::memory_order_relaxed);
}

struct Crew::Threads {
  std::vector<std::thread> list;
};

Crew::Crew(int workers, bool pin)
    : workers_(workers),
      pin_(pin),
      process_(::getpid()),
      cores_(allowed_cores()),
      barrier_(workers),
      threads_(std::make_unique<Threads>()) {
  require(workers >= 1 && workers <= 1024, "{} threads asked; use 1 to 1024", workers);
  require(!pin || workers <= static_cast<int>(cores_.size()),
          "{} threads asked, but this process may use {} cores; lower --threads or turn pinning off", workers,
          cores_.size());
  try {
    for (int w = 0; w < workers && workers > 1; ++w) threads_->list.emplace_back([this, w] { serve(w); });
  } catch (const std::system_error& e) {
    stop_.store(true);
    go_.fetch_add(1);
    futex_wake_all(go_);
    for (std::thread& t : threads_->list) t.join();
    fail("cannot start {} threads: {}; lower --threads", workers, e.what());
  }
}

Crew::~Crew() {
  if (process_ != ::getpid()) {
    for (std::thread& t : threads_->list) t.detach();
    return;
  }
  stop_.store(true, std::memory_order_release);
  go_.fetch_add(1, std::memory_order_release);
  futex_wake_all(go_);
  for (std::thread& t : threads_->list) t.join();
}

void Crew::work(int worker) noexcept {
  // The caller's rounding mode and flushing of denormals, which other libraries set, must not decide a bit.
  const unsigned float_mode = _mm_getcsr();
  _mm_setcsr(kFloatMode);
  Exec exec;
  exec.worker = worker;
  exec.workers = workers_;
  exec.scratch = job_.scratch + static_cast<std::size_t>(worker) * job_.scratch_stride;
  exec.ticket = job_.tickets;
  for (const Launch& launch : job_.launches) {
    if (launch.barrier && workers_ > 1) barrier_.wait();
    launch.run(launch.args, exec);
    ++exec.ticket;
  }
  if (workers_ > 1) barrier_.wait();
  _mm_setcsr(float_mode);
}

void Crew::serve(int worker) noexcept {
  if (pin_) pin_to(cores_[static_cast<std::size_t>(worker)]);
  std::uint32_t seen = 0;
  for (;;) {
    std::uint32_t now = go_.load(std::memory_order_acquire);
    while (now == seen) {
      futex_wait(go_, seen);
      now = go_.load(std::memory_order_acquire);
    }
    seen = now;
    if (stop_.load(std::memory_order_acquire)) return;
    work(worker);
    if (worker == 0) {
      done_.fetch_add(1, std::memory_order_release);
      futex_wake_all(done_);
    }
  }
}

void Crew::run(std::span<const Launch> launches, std::atomic<std::int32_t>* tickets, std::byte* scratch,
               std::size_t scratch_stride) noexcept {
  for (std::size_t i = 0; i < launches.size(); ++i) tickets[i].store(0, std::memory_order_relaxed);
  job_ = {launches, tickets, scratch, scratch_stride};
  if (workers_ == 1) return work(0);
  std::uint32_t before = done_.load(std::memory_order_relaxed);
  go_.fetch_add(1, std::memory_order_release);
  futex_wake_all(go_);
  while (done_.load(std::memory_order_acquire) == before) futex_wait(done_, before);
}

}  // namespace flashrt::cpu
