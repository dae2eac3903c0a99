// SPDX-License-Identifier: Apache-2.0
// The flow time enters pi0.5 through the adaptive norms only, so everything it touches is folded at load.
#include <cmath>
#include <numbers>
#include <string>

#include "flashrt/core/packed_rhs.h"
#include "flashrt/core/program.h"
#include "flashrt/models/pi05/names.h"
#include "flashrt/models/pi05/pi05.h"

namespace flashrt::pi05 {

void TimeWeights::weights(Weights& w, const Config& c) {
  std::int64_t E = c.expert.width;
  auto linear = [&](Linear& out, std::string name, std::int64_t rows) {
    w.linear(out, {.group = "head", .parts = {{std::move(name), rows}}, .K = E, .bias = true});
  };
  linear(in, std::string(kTimeIn), E);
  linear(out, std::string(kTimeOut), E);
  norms.resize(static_cast<std::size_t>(2 * c.expert.depth + 1));
  for (std::int64_t i = 0; i < c.expert.depth; ++i) {
    std::string p = std::string(kExpert) + "layers." + std::to_string(i) + ".";
    linear(norms[static_cast<std::size_t>(2 * i)], p + "input_layernorm.dense", 3 * E);
    linear(norms[static_cast<std::size_t>(2 * i + 1)], p + "post_attention_layernorm.dense", 3 * E);
  }
  linear(norms.back(), std::string(kExpert) + "norm.dense", 3 * E);
}

std::vector<float> flow_times(const Config& c) {
  std::vector<float> times;
  float accumulated = 1.0f, dt = -1.0f / static_cast<float>(c.steps);
  for (std::int64_t k = 0; k < c.steps; ++k) {
    times.push_back(c.accumulated_time
                        ? accumulated
                        : static_cast<float>(1.0 - static_cast<double>(k) / static_cast<double>(c.steps)));
    accumulated += dt;
  }
  return times;
}

void time_embedding(const Config& c, const Tensor& out) {
  std::vector<float> times = flow_times(c);
  std::int64_t half = c.expert.width / 2;
  for (std::int64_t k = 0; k < c.steps; ++k)
    for (std::int64_t j = 0; j < half; ++j) {
      double fraction = half > 1 ? static_cast<double>(j) / static_cast<double>(half - 1) : 0.0;
      double period = c.min_period * std::pow(c.max_period / c.min_period, fraction);
      double angle = 2 * std::numbers::pi * static_cast<double>(times[static_cast<std::size_t>(k)]) / period;
      out.row<float>(k)[j] = static_cast<float>(std::sin(angle));
      out.row<float>(k)[half + j] = static_cast<float>(std::cos(angle));
    }
}

void fold_modulation(Device& device, const TensorSource& source, const Config& c, const Tensor& modulation) {
  std::int64_t E = c.expert.width;
  Precision precision{.all = DType::f32};
  TimeWeights time;
  WeightManifest manifest;
  time.weights(manifest, c);
  Arena weights(manifest.packed_bytes(precision));
  WeightLoader loader(source, precision, weights);
  time.weights(loader, c);
  loader.load(device);

  Arena temporaries(static_cast<std::size_t>(8 * c.steps * E * 4) + (std::size_t{1} << 20));
  Arena state(static_cast<std::size_t>(c.steps * E * 4) + Arena::kAlign);
  Tensor embedding = state.tensor({c.steps, E}, DType::f32);
  time_embedding(c, embedding);
  Program fold = Program::record(device, temporaries, [&](Recorder& r) {
    Tensor hidden = r.temp({c.steps, E}, DType::f32), condition = r.temp({c.steps, E}, DType::f32);
    MatMul in = mat_mul({embedding, {}}, time.in, hidden);
    in.act = Activation::silu;
    r(in, "time.in");
    MatMul out = mat_mul({hidden, {}}, time.out, condition);
    out.act = Activation::silu;  // the second SiLU, behind the output layer
    r(out, "time.out");
    for (std::size_t n = 0; n < time.norms.size(); ++n) {
      Tensor rows = modulation.slice(0, static_cast<std::int64_t>(n), 1).reshape({c.steps, 3 * E});
      r(mat_mul({condition, {}}, time.norms[n], rows), "norm" + std::to_string(n));
    }
  });
  fold.replay();
  for (std::int64_t n = 0; n < modulation.dim(0); ++n)
    for (std::int64_t k = 0; k < c.steps; ++k) {
      float* scale = modulation.as<float>() + (n * c.steps + k) * 3 * E;
      for (std::int64_t i = 0; i < E; ++i) scale[i] += 1.0f;
    }
}

}  // namespace flashrt::pi05
