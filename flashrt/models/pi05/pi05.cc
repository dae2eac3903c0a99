// SPDX-License-Identifier: Apache-2.0
#include "flashrt/models/pi05/pi05.h"

#include <cmath>
#include <string>

#include "flashrt/models/pi05/names.h"
#include "flashrt/ops/embedding/embedding.h"
#include "flashrt/ops/unnormalize/unnormalize.h"

namespace flashrt::pi05 {

void Model::weights(Weights& w, const Config& c) {
  config = c;
  std::string language(kLanguage);
  vision.weights(w, c.vision, "vision", std::string(kVision), std::string(kProjector));
  w.tensor(embedding, "prefix", std::string(kEmbedding), {c.vocabulary, c.prefix.width}, Keep::stored);
  prefix.weights(w, c.prefix, "prefix", language, GemmaNorm::plain, GemmaEnd::cache_only);
  w.unused(language + "norm.weight", {c.prefix.width});
  // Tied to the embedding. Writers drop one of the two; where both are, this one is not read.
  w.unused(std::string(kHead), {c.vocabulary, c.prefix.width});
  expert.weights(w, c.expert, "expert", std::string(kExpert), GemmaNorm::adaptive, GemmaEnd::whole);
  w.unused(std::string(kExpertHead), {c.vocabulary, c.expert.width});
  w.linear(action_in,
           {.group = "head", .parts = {{std::string(kActionIn), c.expert.width}}, .K = c.action_dim, .bias = true});
  w.linear(action_out, {.group = "head",
                        .parts = {{std::string(kActionOut), c.action_dim}},
                        .K = c.expert.width,
                        .bias = true,
                        .scale = -1.0f / static_cast<float>(c.steps)});
}

void declare_all(Weights& w, const Config& c) {
  Model model;
  model.weights(w, c);
  TimeWeights time;
  time.weights(w, c);
}

namespace {

// The adaptive norm `norm` (two a layer, then the final one) at one Euler step.
Modulation modulation_at(const Model& m, std::int64_t norm, std::int64_t step) {
  std::int64_t E = m.config.expert.width;
  Tensor row = m.modulation.slice(0, norm, 1).slice(1, step, 1).reshape({3 * E});
  return {row.cols(0, E), row.cols(E, E), row.cols(2 * E, E)};
}

// Images and prompt through SigLIP and Gemma; leaves the keys and values of every layer in the cache.
void read_prefix(Recorder& r, const Model& m, const State& s, std::int64_t views, std::int64_t prompt) {
  const Config& c = m.config;
  std::int64_t N = c.vision.tokens(), image_rows = views * N, P = image_rows + prompt;
  Tensor x = r.temp({P, c.prefix.width}, DType::f32);
  {
    Recorder::Scope scope(r, "vision");
    std::vector<Tensor> images;
    for (std::int64_t v = 0; v < views; ++v) {
      images.push_back(r.temp({c.vision.image, c.vision.image * 3}, DType::f32));
      r(ResizeImage{.image = s.images[static_cast<std::size_t>(v)].address(),
                    .y = images.back(),
                    .rule = c.resize,
                    .pad = c.pad_value},
        "view" + std::to_string(v) + ".resize");
    }
    m.vision.forward(r, images, s.vision_kv.layers.front(), x.rows(0, image_rows));
  }
  Recorder::Scope scope(r, "prefix");
  if (prompt > 0)
    r(Embedding{.ids = s.tokens.slice(0, 0, prompt),
                .table = m.embedding,
                .y = x.rows(image_rows, prompt),
                .scale = std::sqrt(static_cast<float>(c.prefix.width)),
                .valid = s.prompt_length.address()},
      "embedding");
  GemmaContext at{.cos = s.rotary.cos, .sin = s.rotary.sin, .keys = P, .prefix = P, .valid = s.prefix_length.address()};
  for (std::size_t i = 0; i < m.prefix.layers.size(); ++i) {
    Recorder::Scope layer(r, std::to_string(i));
    bool last = i + 1 == m.prefix.layers.size();
    if (last)
      gemma_keys(r, x, m.prefix.layers[i], c.prefix, s.kv.layers[i], at);
    else
      gemma_layer(r, x, m.prefix.layers[i], c.prefix, s.kv.layers[i], at);
  }
}

// One Euler step: x += dt * v(x, t), with dt in the output projection.
void euler_step(Recorder& r, const Model& m, const State& s, std::int64_t P, std::int64_t step) {
  const Config& c = m.config;
  Tensor h = r.temp({c.horizon, c.expert.width}, DType::f32);
  r(mat_mul({s.x, {}}, m.action_in, h), "action_in");
  GemmaContext at{.cos = s.rotary.cos,
                  .sin = s.rotary.sin,
                  .position = s.prefix_length.address(),
                  .cache_row = P,
                  .keys = P + c.horizon,
                  .prefix = P,
                  .valid = s.prefix_length.address()};
  auto depth = static_cast<std::int64_t>(m.expert.layers.size());
  for (std::int64_t i = 0; i < depth; ++i) {
    Recorder::Scope layer(r, std::to_string(i));
    auto n = static_cast<std::size_t>(i);
    gemma_layer(r, h, m.expert.layers[n], c.expert, s.kv.layers[n], at, modulation_at(m, 2 * i, step),
                modulation_at(m, 2 * i + 1, step));
  }
  Modulation final = modulation_at(m, 2 * depth, step);
  Act n = rms_norm(r, h, m.action_out, c.expert.eps, final.gain, final.shift, "norm");
  MatMul out = mat_mul(n, m.action_out, s.x);
  out.add = s.x;
  r(out, "action_out");
}

}  // namespace

void forward(Recorder& r, const Model& m, const State& s, std::int64_t views, std::int64_t prompt) {
  const Config& c = m.config;
  read_prefix(r, m, s, views, prompt);
  std::int64_t P = views * c.vision.tokens() + prompt;
  r(Noise{.key = s.noise.address(), .given = s.given_noise, .y = s.x}, "noise");
  for (std::int64_t step = 0; step < c.steps; ++step) {
    Recorder::Scope scope(r, "step" + std::to_string(step));
    euler_step(r, m, s, P, step);
  }
  Tensor robot = s.relative ? s.robot_state : Tensor{};
  r(Unnormalize{.x = s.x, .scale = s.scale, .offset = s.offset, .state = robot, .mask = s.relative, .y = s.actions},
    "unnormalize");
}

}  // namespace flashrt::pi05
