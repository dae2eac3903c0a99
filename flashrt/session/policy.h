// SPDX-License-Identifier: Apache-2.0
// A robot policy between calls: observations are checked before anything runs, and a bad one moves nothing.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "flashrt/core/device.h"
#include "flashrt/models/policy_model.h"

namespace flashrt {

// One camera picture, RGB, rows top to bottom. The pixels must stay until predict() returns.
struct CameraImage {
  const std::uint8_t* pixels = nullptr;  // [height, width, 3] u8; null: this camera is missing
  std::int64_t height = 0, width = 0;
  std::int64_t row_bytes = 0;  // 0: width * 3
};

struct Observation {
  std::vector<CameraImage> images;  // in PolicyInfo::cameras order; cameras left off the end are missing
  std::string prompt{};             // empty: the one of the call before
  std::span<const float> state{};   // [state_dim] f32, robot units
  std::span<const float> noise{};   // [horizon, model_action_dim] f32; empty: drawn from seed and the call's number
  std::optional<std::uint64_t>
      seed{};  // the same seed gives the same actions; unset: the policy's own, a new draw a call
  std::span<const std::int32_t> tokens{};  // prompt ids made by the caller, instead of prompt and state text
};

struct Chunk {
  std::int64_t horizon = 0, width = 0;
  std::vector<float> actions;     // [horizon, width] robot units
  std::vector<float> normalized;  // [horizon, model_action_dim] as the model made them
  double ms = 0;                  // wall time of the call, text and copies included
  double replay_ms = 0;           // the program's part of it
  float operator()(std::int64_t step, std::int64_t dim) const {
    return actions[static_cast<std::size_t>(step * width + dim)];
  }
};

struct LatencyStats {
  std::size_t count = 0;
  double min_ms = 0, mean_ms = 0, p50_ms = 0, p95_ms = 0, p99_ms = 0, max_ms = 0;
};
LatencyStats latency_stats(std::vector<double> ms);

class Policy {
 public:
  // `seed` starts the policy's own noise.
  Policy(std::unique_ptr<Device> device, std::unique_ptr<PolicyModel> model, std::uint64_t seed);
  Policy(Policy&&) noexcept;
  Policy& operator=(Policy&&) noexcept;
  ~Policy();

  const PolicyInfo& info() const;
  Device& device() { return *device_; }
  PolicyModel& model() { return *model_; }

  // Throws Error for an observation that cannot be right (no prompt, no image, a NaN or a wrong width in state or
  // noise, a picture too small or large) and for actions that are not finite; the policy stays usable. One call at a
  // time.
  Chunk predict(const Observation&);
  // The same in two halves, for benchmarks and tools: checks and sets the inputs, and gives the program to replay.
  Program& prepare(const Observation&);

  LatencyStats latency() const;  // of the last calls, at most kLatencyWindow
  void reset_latency();
  static constexpr std::size_t kLatencyWindow = 100'000;

 private:
  void check(const Observation&) const;
  std::unique_ptr<Device> device_;
  std::unique_ptr<PolicyModel> model_;
  std::string prompt_;
  std::uint64_t seed_ = 0, calls_ = 0;
  int process_ = 0;  // that started the workers
  std::vector<ImageView> views_;
  std::vector<double> latency_ms_;
};

}  // namespace flashrt
