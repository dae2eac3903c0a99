// SPDX-License-Identifier: Apache-2.0
// The SigLIP vision transformer: patches of every view through one stack, each view attending to itself.
#pragma once

#include <string>
#include <vector>

#include "flashrt/nn/kv_cache.h"
#include "flashrt/nn/linear.h"

namespace flashrt {

struct SiglipConfig {
  std::int64_t width = 0, depth = 0, mlp = 0, heads = 0, image = 0, patch = 0, projection = 0;
  float eps = 1e-6f;

  std::int64_t head_dim() const { return width / heads; }
  std::int64_t tokens() const { return image / patch * (image / patch); }  // a view
};

struct SiglipNorm {
  Tensor gain, bias;  // [D] f32
};
struct SiglipLayer {
  SiglipNorm norm1, norm2;
  Linear qkv, out, fc1, fc2;
};

struct SiglipTower {
  SiglipConfig config;
  Linear patch;     // [D, p * p * 3]
  Tensor position;  // [tokens, D] f32
  std::vector<SiglipLayer> layers;
  SiglipNorm post;
  Linear projector;  // [projection, D]

  // Declares `tower`embeddings.*, `tower`encoder.layers.{i}.*, `tower`post_layernorm.* and `projector`.* in `group`.
  void weights(Weights&, const SiglipConfig&, std::string_view group, const std::string& tower,
               const std::string& projector);
  // images[v] is [image, image * 3] f32 in [-1, 1]; y [views * tokens, projection] f32. One layer's keys are needed at
  // a time, so `kv` is one layer of at least views * heads caches of `tokens` rows.
  void forward(Recorder&, const std::vector<Tensor>& images, const KvLayer& kv, const Tensor& y) const;
};

}  // namespace flashrt
