// SPDX-License-Identifier: Apache-2.0
#include "flashrt/session/policy.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>

#include "flashrt/core/error.h"

namespace flashrt {
namespace {

using Clock = std::chrono::steady_clock;
double ms_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

void require_finite(std::span<const float> values, const char* what) {
  for (std::size_t i = 0; i < values.size(); ++i)
    require(std::isfinite(values[i]), "{}[{}] is {}; refusing to act on it", what, i, values[i]);
}

}  // namespace

LatencyStats latency_stats(std::vector<double> ms) {
  LatencyStats s;
  if (ms.empty()) return s;
  std::sort(ms.begin(), ms.end());
  // Nearest rank: the smallest sample that at least this share of all samples does not exceed.
  auto at = [&](double share) {
    auto rank = static_cast<std::size_t>(std::ceil(share * static_cast<double>(ms.size())));
    return ms[std::min(ms.size() - 1, rank > 0 ? rank - 1 : 0)];
  };
  s.count = ms.size();
  s.min_ms = ms.front();
  s.max_ms = ms.back();
  s.mean_ms = std::accumulate(ms.begin(), ms.end(), 0.0) / static_cast<double>(ms.size());
  s.p50_ms = at(0.50);
  s.p95_ms = at(0.95);
  s.p99_ms = at(0.99);
  return s;
}

Policy::Policy(std::unique_ptr<Device> device, std::unique_ptr<PolicyModel> model, std::uint64_t seed)
    : device_(std::move(device)), model_(std::move(model)), seed_(seed), process_(getpid()) {
  latency_ms_.reserve(1024);
}
// The model's programs hold the device, so the device goes last.
Policy::~Policy() { model_.reset(); }
Policy::Policy(Policy&&) noexcept = default;
Policy& Policy::operator=(Policy&& other) noexcept {
  if (this != &other) {
    model_ = std::move(other.model_);
    device_ = std::move(other.device_);
    prompt_ = std::move(other.prompt_);
    seed_ = other.seed_;
    calls_ = other.calls_;
    process_ = other.process_;
    views_ = std::move(other.views_);
    latency_ms_ = std::move(other.latency_ms_);
  }
  return *this;
}

const PolicyInfo& Policy::info() const { return model_->info(); }

void Policy::check(const Observation& o) const {
  const PolicyInfo& info = model_->info();
  auto cameras = info.cameras.size();
  require(!o.images.empty(), "no image given; this policy has {} cameras", cameras);
  require(o.images.size() <= cameras, "{} images given, this policy has {} cameras", o.images.size(), cameras);
  bool any = false;
  for (std::size_t i = 0; i < o.images.size(); ++i) {
    const CameraImage& m = o.images[i];
    if (!m.pixels) continue;
    any = true;
    require(m.height >= 1 && m.width >= 1 && m.height <= ResizeImage::kMaxSide && m.width <= ResizeImage::kMaxSide,
            "image {} (\"{}\") is {} x {}; a side must be 1 to {} pixels", i, info.cameras[i], m.height, m.width,
            ResizeImage::kMaxSide);
    require(m.row_bytes == 0 || m.row_bytes >= 3 * m.width, "image {} has rows of {} bytes, {} pixels need {}", i,
            m.row_bytes, m.width, 3 * m.width);
  }
  require(any, "every camera is missing; the policy needs at least one image");
  require(!o.prompt.empty() || !prompt_.empty() || !o.tokens.empty(), "no prompt given; the first call needs one");
  require(o.prompt.empty() || o.tokens.empty(), "give a prompt or its tokens, not both");
  require(o.prompt.empty() || o.prompt.find_first_not_of(" \t\r\n") != o.prompt.npos,
          "the prompt is white space alone; say what the robot is to do");
  if (info.state_dim > 0 && !o.state.empty())
    require(std::ssize(o.state) == info.state_dim, "state has {} values, this policy takes {}{}", o.state.size(),
            info.state_dim,
            std::ssize(o.state) < info.state_dim ? "; where its statistics are padded, load it with state_dim" : "");
  require(!info.state_needed || !o.state.empty() || !o.tokens.empty(),
          "no state given; this policy reads the robot's state ({} values)", info.state_dim);
  require_finite(o.state, "state");
  if (!o.noise.empty()) {
    require(std::ssize(o.noise) == info.horizon * info.model_action_dim, "noise has {} values, it must be [{}, {}]",
            o.noise.size(), info.horizon, info.model_action_dim);
    require_finite(o.noise, "noise");
  }
}

Program& Policy::prepare(const Observation& o) {
  require(
      process_ == getpid(),
      "this policy was loaded in process {} and its workers did not follow the fork; load it again in this process, or "
      "start processes by spawn",
      process_);
  check(o);
  std::vector<std::int32_t> made;
  std::span<const std::int32_t> tokens = o.tokens;
  if (tokens.empty()) {
    made = model_->tokens(o.prompt.empty() ? prompt_ : o.prompt, o.state);
    tokens = made;
  }
  views_.assign(info().cameras.size(), ImageView{});
  PolicyInputs in;
  in.images.assign(views_.size(), nullptr);
  for (std::size_t i = 0; i < o.images.size(); ++i) {
    const CameraImage& m = o.images[i];
    if (!m.pixels) continue;
    views_[i].pixels = m.pixels;
    views_[i].height = static_cast<std::int32_t>(m.height);
    views_[i].width = static_cast<std::int32_t>(m.width);
    views_[i].pitch = m.row_bytes ? m.row_bytes : 3 * m.width;
    check_image(views_[i], info().image_size, info().image_size);
    in.images[i] = &views_[i];
  }
  in.tokens = tokens;
  in.state = o.state;
  in.noise = o.noise;
  in.seed = o.seed.value_or(seed_);
  in.stream = o.seed ? 0 : calls_;
  Program& program = model_->prepare(in);
  if (!o.prompt.empty()) prompt_ = o.prompt;
  ++calls_;
  return program;
}

Chunk Policy::predict(const Observation& o) {
  auto start = Clock::now();
  Program& program = prepare(o);
  auto replay = Clock::now();
  program.replay();
  Chunk chunk;
  chunk.replay_ms = ms_since(replay);
  chunk.horizon = info().horizon;
  chunk.width = info().action_dim;
  auto copy = [](const Tensor& t) {
    std::vector<float> v;
    v.reserve(static_cast<std::size_t>(t.elements()));
    for (std::int64_t i = 0; i < t.dim(0); ++i) v.insert(v.end(), t.row<float>(i), t.row<float>(i) + t.dim(1));
    return v;
  };
  chunk.actions = copy(model_->actions());
  chunk.normalized = copy(model_->model_actions());
  for (std::size_t i = 0; i < chunk.actions.size(); ++i)
    require(std::isfinite(chunk.actions[i]), "action [{}, {}] is {}; the checkpoint or its statistics are damaged",
            i / static_cast<std::size_t>(chunk.width), i % static_cast<std::size_t>(chunk.width), chunk.actions[i]);
  chunk.ms = ms_since(start);
  if (latency_ms_.size() == kLatencyWindow)
    latency_ms_.erase(latency_ms_.begin(), latency_ms_.begin() + kLatencyWindow / 2);
  latency_ms_.push_back(chunk.ms);
  return chunk;
}

LatencyStats Policy::latency() const { return latency_stats(latency_ms_); }
void Policy::reset_latency() { latency_ms_.clear(); }

}  // namespace flashrt
