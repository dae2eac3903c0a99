// SPDX-License-Identifier: Apache-2.0
#include "flashrt/nn/siglip_tower.h"

#include <cmath>

#include "flashrt/ops/attention/attention.h"
#include "flashrt/ops/patchify/patchify.h"
#include "flashrt/ops/rope/rope.h"

namespace flashrt {

void SiglipTower::weights(Weights& w, const SiglipConfig& c, std::string_view group, const std::string& tower,
                          const std::string& projector_name) {
  config = c;
  auto norm = [&](SiglipNorm& n, const std::string& name) {
    w.tensor(n.gain, group, name + ".weight", {c.width});
    w.tensor(n.bias, group, name + ".bias", {c.width});
  };
  w.linear(patch, {.group = group,
                   .parts = {{tower + "embeddings.patch_embedding", c.width}},
                   .K = c.patch * c.patch * 3,
                   .bias = true,
                   .high = true,
                   .channels = 3});
  w.tensor(position, group, tower + "embeddings.position_embedding.weight", {c.tokens(), c.width});
  layers.resize(static_cast<std::size_t>(c.depth));
  for (std::size_t i = 0; i < layers.size(); ++i) {
    SiglipLayer& l = layers[i];
    std::string p = tower + "encoder.layers." + std::to_string(i) + ".";
    norm(l.norm1, p + "layer_norm1");
    w.linear(l.qkv, {.group = group,
                     .parts = {{p + "self_attn.q_proj", c.width},
                               {p + "self_attn.k_proj", c.width},
                               {p + "self_attn.v_proj", c.width}},
                     .K = c.width,
                     .bias = true});
    w.linear(l.out, {.group = group, .parts = {{p + "self_attn.out_proj", c.width}}, .K = c.width, .bias = true});
    norm(l.norm2, p + "layer_norm2");
    w.linear(l.fc1, {.group = group, .parts = {{p + "mlp.fc1", c.mlp}}, .K = c.width, .bias = true});
    w.linear(l.fc2, {.group = group, .parts = {{p + "mlp.fc2", c.width}}, .K = c.mlp, .bias = true});
  }
  norm(post, tower + "post_layernorm");
  w.linear(projector, {.group = group, .parts = {{projector_name, c.projection}}, .K = c.width, .bias = true});
}

void SiglipTower::forward(Recorder& r, const std::vector<Tensor>& images, const KvLayer& kv, const Tensor& y) const {
  const SiglipConfig& c = config;
  std::int64_t N = c.tokens(), views = static_cast<std::int64_t>(images.size()), T = views * N;
  Tensor k_cache = kv.k.slice(0, 0, views * c.heads), v_cache = kv.v.slice(0, 0, views * c.heads);
  Tensor x = r.temp({T, c.width}, DType::f32);
  for (std::size_t v = 0; v < images.size(); ++v) {
    Recorder::Scope scope(r, "view" + std::to_string(v));
    Tensor patches = r.temp({N, patch.K()}, working_dtype(patch));
    r(Patchify{.image = images[v], .y = patches, .patch = c.patch}, "patchify");
    MatMul embed = mat_mul({patches, {}}, patch, x.rows(static_cast<std::int64_t>(v) * N, N));
    embed.add = position;
    r(embed, "patch_embedding");
  }
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const SiglipLayer& l = layers[i];
    Recorder::Scope scope(r, std::to_string(i));
    Act n1 = layer_norm(r, x, l.qkv, c.eps, l.norm1.gain, l.norm1.bias, "norm1");
    Tensor qkv = r.temp({T, 3 * c.width}, DType::f32);
    r(mat_mul(n1, l.qkv, qkv), "qkv");
    Tensor q = r.temp({T, c.width}, working_dtype(l.qkv));
    r(Rope{.qkv = qkv,
           .q = q,
           .k_cache = k_cache,
           .v_cache = v_cache,
           .block = N,
           .heads = c.heads,
           .kv_heads = c.heads,
           .q_scale = 1.0f / std::sqrt(static_cast<float>(c.head_dim()))},
      "split");
    Tensor a = r.temp({T, c.width}, q.dtype);
    r(Attention{.q = q,
                .k_cache = k_cache,
                .v_cache = v_cache,
                .y = a,
                .heads = c.heads,
                .kv_heads = c.heads,
                .block = N,
                .keys = N},
      "attention");
    MatMul out = mat_mul(as_input(r, a, l.out, "attention.quantize"), l.out, x);
    out.add = x;
    r(out, "out");
    Act n2 = layer_norm(r, x, l.fc1, c.eps, l.norm2.gain, l.norm2.bias, "norm2");
    Tensor h = r.temp({T, c.mlp}, working_dtype(l.fc1));
    MatMul up = mat_mul(n2, l.fc1, h);
    up.act = Activation::gelu_tanh;
    r(up, "fc1");
    MatMul down = mat_mul(as_input(r, h, l.fc2, "fc2.quantize"), l.fc2, x);
    down.add = x;
    r(down, "fc2");
  }
  Act n = layer_norm(r, x, projector, c.eps, post.gain, post.bias, "post_norm");
  r(mat_mul(n, projector, y), "projector");
}

}  // namespace flashrt
