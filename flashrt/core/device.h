// SPDX-License-Identifier: Apache-2.0
// Where programs run: facts that kernels are chosen by, and the one thing a backend must do, bind steps to a replay.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>

namespace flashrt {

enum class Backend : std::uint8_t { cpu, cuda };

struct DeviceInfo {
  Backend backend = Backend::cpu;
  std::string model;           // as the machine names it
  std::uint64_t features = 0;  // bits defined by the backend
  int workers = 1;
  std::size_t l2_bytes = 1 << 20;  // per core
  std::size_t l3_bytes = 0;
  // Op name -> the only row allowed for it ("*" for every op); set by --kernel.
  std::map<std::string, std::string, std::less<>> kernel_overrides;
};

struct Step;

// A bound program: everything decided, nothing left to allocate.
class Replay {
 public:
  virtual ~Replay() = default;
  virtual void run() noexcept = 0;
  // Runs step `i` alone; for check, compare and explain.
  virtual void run_step(std::size_t i) noexcept = 0;
};

class Device {
 public:
  virtual ~Device() = default;
  const DeviceInfo& info() const { return info_; }
  // `scratch_bytes` is the most any step needs per worker.
  virtual std::unique_ptr<Replay> bind(std::span<const Step> steps, std::size_t scratch_bytes) = 0;
  // Runs body(worker, item) for items [0, count) on the host's workers, items claimed one by one; for load-time work.
  // An exception in a body stops the rest and is rethrown here.
  virtual void parallel(std::int64_t count, const std::function<void(int worker, std::int64_t item)>& body) = 0;

 protected:
  DeviceInfo info_;
};

}  // namespace flashrt
