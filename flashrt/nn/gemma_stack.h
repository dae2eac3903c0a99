// SPDX-License-Identifier: Apache-2.0
// The Gemma transformer stack: RMSNorm, rotary attention with few key heads, GeGLU; plain or adaptively normed.
#pragma once

#include <string>
#include <vector>

#include "flashrt/nn/kv_cache.h"
#include "flashrt/nn/linear.h"

namespace flashrt {

struct GemmaConfig {
  std::int64_t width = 0, depth = 0, mlp = 0, heads = 0, kv_heads = 0, head_dim = 0;
  float eps = 1e-6f;
  float rope_theta = 10000;
};

struct GemmaLayer {
  Linear qkv;      // [(H + 2G) * hd, D]; the last layer of a stack that only feeds a cache: [2G * hd, D]
  Linear o;        // [D, H * hd]
  Linear gate_up;  // [2 * mlp, D] paired
  Linear down;     // [D, mlp]
};

enum class GemmaNorm : std::uint8_t {
  plain,     // 1 + w, folded into the weights that follow
  adaptive,  // gain, shift and gate come with every call
};
enum class GemmaEnd : std::uint8_t {
  whole,
  cache_only,  // of the last layer only K and V are used: the rest is checked and not loaded
};

struct GemmaStack {
  GemmaConfig config;
  std::vector<GemmaLayer> layers;

  // Declares `prefix`layers.{i}.* in the layer group `group`.
  void weights(Weights&, const GemmaConfig&, std::string_view group, const std::string& prefix, GemmaNorm, GemmaEnd);
};

// Adaptive norm vectors of one norm, each [D] f32: gain is 1 + scale.
struct Modulation {
  Tensor gain, shift, gate;
};

// Where a call's rows stand and what they see.
struct GemmaContext {
  Tensor cos, sin;                         // [P, hd/2] f32
  const std::int32_t* position = nullptr;  // position of row 0 when the program runs; null: 0
  std::int64_t cache_row = 0;              // cache row of row 0
  std::int64_t keys = 0;                   // cache rows in use
  std::int64_t prefix = 0;                 // see Attention
  const std::int32_t* valid = nullptr;
};

// One layer; x [T, D] f32 is updated in place. `attn` and `ffn` are unset for plain norms.
void gemma_layer(Recorder&, const Tensor& x, const GemmaLayer&, const GemmaConfig&, const KvLayer&, const GemmaContext&,
                 const Modulation& attn = {}, const Modulation& ffn = {});
// The K and V of a layer, and nothing else.
void gemma_keys(Recorder&, const Tensor& x, const GemmaLayer&, const GemmaConfig&, const KvLayer&, const GemmaContext&);

// cos and sin of position / theta^(2i / hd), [positions, hd/2] f32, computed in double.
struct RotaryTable {
  Tensor cos, sin;
  RotaryTable() = default;
  RotaryTable(Arena& state, std::int64_t positions, std::int64_t head_dim, double theta);
  static std::size_t bytes(std::int64_t positions, std::int64_t head_dim);
};

}  // namespace flashrt
