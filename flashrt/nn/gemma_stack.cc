// SPDX-License-Identifier: Apache-2.0
#include "flashrt/nn/gemma_stack.h"

#include <cmath>

#include "flashrt/ops/attention/attention.h"
#include "flashrt/ops/rope/rope.h"

namespace flashrt {

void GemmaStack::weights(Weights& w, const GemmaConfig& c, std::string_view group, const std::string& prefix,
                         GemmaNorm norm, GemmaEnd end) {
  config = c;
  layers.resize(static_cast<std::size_t>(c.depth));
  std::int64_t q = c.heads * c.head_dim, kv = c.kv_heads * c.head_dim;
  for (std::int64_t i = 0; i < c.depth; ++i) {
    GemmaLayer& l = layers[static_cast<std::size_t>(i)];
    std::string p = prefix + "layers." + std::to_string(i) + ".";
    std::string gain1, gain2;
    if (norm == GemmaNorm::plain) {
      gain1 = p + "input_layernorm.weight";
      gain2 = p + "post_attention_layernorm.weight";
    }
    LinearPart q_part{p + "self_attn.q_proj", q}, k_part{p + "self_attn.k_proj", kv},
        v_part{p + "self_attn.v_proj", kv};
    if (end == GemmaEnd::cache_only && i == c.depth - 1) {
      w.linear(l.qkv, {.group = group, .parts = {k_part, v_part}, .K = c.width, .offset_gain = gain1});
      w.unused(q_part.name + ".weight", {q, c.width});
      w.unused(p + "self_attn.o_proj.weight", {c.width, q});
      w.unused(p + "mlp.gate_proj.weight", {c.mlp, c.width});
      w.unused(p + "mlp.up_proj.weight", {c.mlp, c.width});
      w.unused(p + "mlp.down_proj.weight", {c.width, c.mlp});
      if (!gain2.empty()) w.unused(gain2, {c.width});
      continue;
    }
    w.linear(l.qkv, {.group = group, .parts = {q_part, k_part, v_part}, .K = c.width, .offset_gain = gain1});
    w.linear(l.o, {.group = group, .parts = {{p + "self_attn.o_proj", c.width}}, .K = q});
    w.linear(l.gate_up, {.group = group,
                         .parts = {{p + "mlp.gate_proj", c.mlp}, {p + "mlp.up_proj", c.mlp}},
                         .K = c.width,
                         .paired = true,
                         .offset_gain = gain2});
    w.linear(l.down, {.group = group, .parts = {{p + "mlp.down_proj", c.width}}, .K = c.mlp});
  }
}

namespace {

// Projects, rotates, and writes K and V; returns the scaled queries, or nothing when the layer has none.
Tensor project(Recorder& r, const Tensor& x, const GemmaLayer& l, const GemmaConfig& c, const KvLayer& kv,
               const GemmaContext& at, const Modulation& m) {
  std::int64_t T = x.dim(0), H = (l.qkv.N() - 2 * c.kv_heads * c.head_dim) / c.head_dim;
  Act n = rms_norm(r, x, l.qkv, c.eps, m.gain, m.shift, "norm");
  Tensor qkv = r.temp({T, l.qkv.N()}, DType::f32);
  r(mat_mul(n, l.qkv, qkv), "qkv");
  Tensor q;
  if (H > 0) q = r.temp({T, H * c.head_dim}, working_dtype(l.qkv));
  r(Rope{.qkv = qkv,
         .q = q,
         .k_cache = kv.k,
         .v_cache = kv.v,
         .cos = at.cos,
         .sin = at.sin,
         .position = at.position,
         .cache_row = at.cache_row,
         .heads = H,
         .kv_heads = c.kv_heads,
         .q_scale = 1.0f / std::sqrt(static_cast<float>(c.head_dim))},
    "rope");
  return q;
}

}  // namespace

void gemma_keys(Recorder& r, const Tensor& x, const GemmaLayer& l, const GemmaConfig& c, const KvLayer& kv,
                const GemmaContext& at) {
  Recorder::Scope scope(r, "attn");
  project(r, x, l, c, kv, at, {});
}

void gemma_layer(Recorder& r, const Tensor& x, const GemmaLayer& l, const GemmaConfig& c, const KvLayer& kv,
                 const GemmaContext& at, const Modulation& attn, const Modulation& ffn) {
  std::int64_t T = x.dim(0);
  {
    Recorder::Scope scope(r, "attn");
    Tensor q = project(r, x, l, c, kv, at, attn);
    Tensor y = r.temp({T, c.heads * c.head_dim}, q.dtype);
    r(Attention{.q = q,
                .k_cache = kv.k,
                .v_cache = kv.v,
                .y = y,
                .heads = c.heads,
                .kv_heads = c.kv_heads,
                .keys = at.keys,
                .prefix = at.prefix,
                .valid = at.valid},
      "core");
    MatMul out = mat_mul(as_input(r, y, l.o, "quantize"), l.o, x);
    out.gate = attn.gate;
    out.add = x;
    r(out, "out");
  }
  Recorder::Scope scope(r, "ffn");
  Act n = rms_norm(r, x, l.gate_up, c.eps, ffn.gain, ffn.shift, "norm");
  Tensor wide = r.temp({T, l.gate_up.outputs()}, working_dtype(l.gate_up));
  MatMul up = mat_mul(n, l.gate_up, wide);
  up.act = Activation::gelu_tanh;
  r(up, "gate_up");
  Tensor h = wide.cols(0, c.mlp);
  MatMul down = mat_mul(as_input(r, h, l.down, "quantize"), l.down, x);
  down.gate = ffn.gate;
  down.add = x;
  r(down, "down");
}

RotaryTable::RotaryTable(Arena& state, std::int64_t positions, std::int64_t head_dim, double theta)
    : cos(state.tensor({positions, head_dim / 2}, DType::f32)),
      sin(state.tensor({positions, head_dim / 2}, DType::f32)) {
  for (std::int64_t p = 0; p < positions; ++p)
    for (std::int64_t i = 0; i < head_dim / 2; ++i) {
      double angle =
          static_cast<double>(p) / std::pow(theta, 2.0 * static_cast<double>(i) / static_cast<double>(head_dim));
      cos.row<float>(p)[i] = static_cast<float>(std::cos(angle));
      sin.row<float>(p)[i] = static_cast<float>(std::sin(angle));
    }
}

std::size_t RotaryTable::bytes(std::int64_t positions, std::int64_t head_dim) {
  return static_cast<std::size_t>(positions * head_dim * 4) + 2 * Arena::kAlign;
}

}  // namespace flashrt
