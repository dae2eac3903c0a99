// SPDX-License-Identifier: Apache-2.0
// pi0.5: SigLIP and Gemma read images and prompt once, an adaptively normed Gemma turns noise into actions.
#pragma once

#include <vector>

#include "flashrt/core/arena.h"
#include "flashrt/core/slot.h"
#include "flashrt/models/pi05/config.h"
#include "flashrt/nn/gemma_stack.h"
#include "flashrt/nn/siglip_tower.h"
#include "flashrt/ops/noise/noise.h"
#include "flashrt/ops/resize_image/resize_image.h"

namespace flashrt::pi05 {

struct Model {
  Config config;
  SiglipTower vision;
  Tensor embedding;  // [vocabulary, D] f32, bf16 or f16
  GemmaStack prefix, expert;
  Linear action_in;   // [E, A] f32
  Linear action_out;  // [A, E] f32, times dt = -1 / steps, so that adding its product is an Euler step
  Tensor modulation;  // [2 depth + 1, steps, 3 E] f32: gain (1 + scale), shift and gate of every norm and step

  void weights(Weights&, const Config&);
};

// The time MLP and the adaptive norms' projections: used once, to make Model::modulation.
struct TimeWeights {
  Linear in, out;
  std::vector<Linear> norms;  // [3 E, E], attention and MLP of every layer, then the final norm
  void weights(Weights&, const Config&);
};
// Every tensor of a complete checkpoint.
void declare_all(Weights&, const Config&);

// Flow times of the Euler steps, from 1 (noise) down, as the checkpoint's own framework computes them.
std::vector<float> flow_times(const Config&);
// [steps, E] f32: sin and cos of every flow time at periods from min_period to max_period, computed in double.
void time_embedding(const Config&, const Tensor& out);
// Fills `modulation`; reads and frees the time weights.
void fold_modulation(Device&, const TensorSource&, const Config&, const Tensor& modulation);

// Everything a program reads or writes that outlives it.
struct State {
  std::vector<Slot<ImageView>> images;  // the cameras that are present, in order
  Tensor tokens;                        // [prompt_tokens rounded up] i32
  Slot<std::int32_t> prompt_length;     // valid tokens
  Slot<std::int32_t> prefix_length;     // valid prefix rows: images and tokens
  Slot<NoiseKey> noise;
  Tensor given_noise;    // [C, A] f32
  Tensor x;              // [C, A] f32: noise, then the normalised actions
  Tensor robot_state;    // [R] f32, added to relative actions
  Tensor relative;       // [R] f32, 1 where it is added; unset: no relative actions
  Tensor scale, offset;  // [R] f32
  Tensor actions;        // [C, R] f32, robot units
  RotaryTable rotary;
  KvCache vision_kv, kv;

  State() = default;
  State(Arena&, const Config&, const RobotProcessing&, DType vision_dtype, DType kv_dtype);
  static std::size_t bytes(const Config&);
};

inline constexpr std::int64_t kPromptBucket = 16;

// The whole call, image bytes to robot-unit actions, for `views` cameras and a prompt of at most `prompt` tokens.
void forward(Recorder&, const Model&, const State&, std::int64_t views, std::int64_t prompt);

}  // namespace flashrt::pi05
