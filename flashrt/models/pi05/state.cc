// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "flashrt/core/packed_rhs.h"
#include "flashrt/models/pi05/pi05.h"

namespace flashrt::pi05 {
namespace {

std::int64_t prompt_rows(const Config& c) { return round_up(c.prompt_tokens, kPromptBucket); }
std::int64_t views(const Config& c) { return static_cast<std::int64_t>(c.cameras.size()); }
std::int64_t cache_rows(const Config& c) { return views(c) * c.vision.tokens() + prompt_rows(c) + c.horizon; }

}  // namespace

State::State(Arena& a, const Config& c, const RobotProcessing& p, DType vision_dtype, DType kv_dtype)
    : tokens(a.tensor({prompt_rows(c)}, DType::i32)),
      prompt_length(a),
      prefix_length(a),
      noise(a),
      given_noise(a.tensor({c.horizon, c.action_dim}, DType::f32)),
      x(a.tensor({c.horizon, c.action_dim}, DType::f32)),
      robot_state(a.tensor({c.robot_action_dim}, DType::f32)),
      scale(a.tensor({c.robot_action_dim}, DType::f32)),
      offset(a.tensor({c.robot_action_dim}, DType::f32)),
      actions(a.tensor({c.horizon, c.robot_action_dim}, DType::f32)),
      rotary(a, cache_rows(c), c.prefix.head_dim, c.prefix.rope_theta),
      vision_kv(a, 1, views(c) * c.vision.heads, c.vision.tokens(), c.vision.head_dim(), vision_dtype),
      kv(a, c.prefix.depth, c.prefix.kv_heads, cache_rows(c), c.prefix.head_dim, kv_dtype) {
  for (std::size_t v = 0; v < c.cameras.size(); ++v) images.emplace_back(a);
  Normalizer::Affine affine = p.action.inverse(c.robot_action_dim);
  std::copy(affine.scale.begin(), affine.scale.end(), scale.as<float>());
  std::copy(affine.offset.begin(), affine.offset.end(), offset.as<float>());
  if (p.relative.empty()) return;
  relative = a.tensor({c.robot_action_dim}, DType::f32);
  for (std::size_t i = 0; i < static_cast<std::size_t>(c.robot_action_dim); ++i)
    relative.as<float>()[i] = i < p.relative.size() && p.relative[i] ? 1.0f : 0.0f;
}

std::size_t State::bytes(const Config& c) {
  std::size_t small = static_cast<std::size_t>(prompt_rows(c) + 8 * c.horizon * c.action_dim) * 4 + 64 * Arena::kAlign;
  return small + RotaryTable::bytes(cache_rows(c), c.prefix.head_dim) +
         KvCache::bytes(1, views(c) * c.vision.heads, c.vision.tokens(), c.vision.head_dim(), DType::f32) +
         KvCache::bytes(c.prefix.depth, c.prefix.kv_heads, cache_rows(c), c.prefix.head_dim, DType::f32);
}

}  // namespace flashrt::pi05
