// SPDX-License-Identifier: Apache-2.0
#include "flashrt/backends/cpu/cpu_device.h"

#include <exception>
#include <mutex>
#include <vector>

#include "flashrt/backends/cpu/crew.h"
#include "flashrt/backends/cpu/features.h"
#include "flashrt/core/arena.h"
#include "flashrt/core/error.h"
#include "flashrt/core/recorder.h"

namespace flashrt::cpu {
namespace {

class CpuReplay final : public Replay {
 public:
  CpuReplay(std::shared_ptr<Crew> crew, std::span<const Step> steps, std::size_t scratch_bytes)
      : crew_(std::move(crew)), tickets_(std::make_unique<std::atomic<std::int32_t>[]>(steps.size() + 1)) {
    for (const Step& s : steps) launches_.push_back({s.run, s.args, s.barrier});
    // A page more keeps two workers' scratch from sharing a line or a prefetched neighbour.
    stride_ = (scratch_bytes + 4095) / 4096 * 4096 + 4096;
    std::size_t all = stride_ * static_cast<std::size_t>(crew_->workers());
    scratch_ = Arena(all);
    scratch_.prefault(all);
  }
  void run() noexcept override { crew_->run(launches_, tickets_.get(), scratch_.data(), stride_); }
  void run_step(std::size_t i) noexcept override {
    crew_->run(std::span(launches_).subspan(i, 1), tickets_.get(), scratch_.data(), stride_);
  }

 private:
  std::shared_ptr<Crew> crew_;
  std::vector<Launch> launches_;
  std::unique_ptr<std::atomic<std::int32_t>[]> tickets_;
  Arena scratch_;
  std::size_t stride_ = 0;
};

class CpuDevice final : public Device {
 public:
  explicit CpuDevice(const Options& o) {
    info_ = detect();
    int threads = o.threads > 0 ? o.threads : info_.workers;
    if (!o.isa.empty()) {
      std::uint64_t wanted = o.isa == "portable" ? kPortable
                             : o.isa == "avx2"   ? kPortable | kAvx2
                             : o.isa == "avx512" ? kPortable | kAvx2 | kAvx512
                                                 : 0;
      require(wanted != 0, "unknown instruction set \"{}\"; use portable, avx2 or avx512", o.isa);
      require((wanted & ~info_.features) == 0, "this processor ({}) does not run \"{}\" kernels; it runs: {}",
              info_.model, o.isa, feature_names(info_.features));
      info_.features = wanted;
    }
    info_.workers = threads;
    info_.kernel_overrides = o.kernel_overrides;
    crew_ = std::make_shared<Crew>(threads, o.pin);
  }

  std::unique_ptr<Replay> bind(std::span<const Step> steps, std::size_t scratch_bytes) override {
    return std::make_unique<CpuReplay>(crew_, steps, scratch_bytes);
  }

  void parallel(std::int64_t count, const std::function<void(int, std::int64_t)>& body) override {
    struct Context {
      const std::function<void(int, std::int64_t)>& body;
      std::int64_t count;
      std::atomic<bool> failed{false};
      std::mutex mutex;
      std::exception_ptr error;
    } context{body, count, {}, {}, {}};
    Launch launch;
    launch.args = &context;
    launch.run = [](const void* args, const Exec& exec) noexcept {
      auto& c = *const_cast<Context*>(static_cast<const Context*>(args));
      for (std::int64_t i; !c.failed.load(std::memory_order_relaxed) && (i = exec.claim()) < c.count;) {
        try {
          c.body(exec.worker, i);
        } catch (...) {
          std::lock_guard lock(c.mutex);
          if (!c.error) c.error = std::current_exception();
          c.failed.store(true);
        }
      }
    };
    std::atomic<std::int32_t> ticket{0};
    crew_->run({&launch, 1}, &ticket, nullptr, 0);
    if (context.error) std::rethrow_exception(context.error);
  }

 private:
  std::shared_ptr<Crew> crew_;
};

}  // namespace

std::unique_ptr<Device> make_device(const Options& o) { return std::make_unique<CpuDevice>(o); }

}  // namespace flashrt::cpu
