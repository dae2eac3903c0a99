# SPDX-License-Identifier: Apache-2.0
"""pi0.5 as one would write it in PyTorch to be fast: the forward that the peer times and verifies.

Nothing is left in that helps only us: q, k and v are one matmul and so are gate and up, attention is
F.scaled_dot_product_attention, the eight query heads that share one key head are folded into the rows (no copy of
keys), padding tokens and the dead part of the last prefix layer are dropped, and everything that depends on the flow
time alone is computed once, before timing.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pi05_weights import Weights

VLM = "paligemma_with_expert.paligemma."
EXPERT = "paligemma_with_expert.gemma_expert.model."


@dataclass(frozen=True)
class Gemma:
    width: int
    depth: int
    mlp: int
    heads: int
    head_dim: int
    eps: float = 1e-6
    theta: float = 10000.0


@dataclass(frozen=True)
class Config:
    prefix: Gemma
    expert: Gemma
    vision_width: int
    vision_depth: int
    vision_mlp: int
    vision_heads: int
    image: int
    patch: int
    vocabulary: int
    action_dim: int
    min_period: float = 4e-3
    max_period: float = 4.0

    @property
    def view_tokens(self) -> int:
        return (self.image // self.patch) ** 2


FULL = Config(
    prefix=Gemma(width=2048, depth=18, mlp=16384, heads=8, head_dim=256),
    expert=Gemma(width=1024, depth=18, mlp=4096, heads=8, head_dim=256),
    vision_width=1152,
    vision_depth=27,
    vision_mlp=4304,
    vision_heads=16,
    image=224,
    patch=14,
    vocabulary=257152,
    action_dim=32,
)


class VisionLayer(nn.Module):
    def __init__(self, w: Weights, c: Config, name: str):
        super().__init__()
        self.heads, D = c.vision_heads, c.vision_width
        self.norm1 = w.layer_norm(name + "layer_norm1", D)
        self.qkv = w.linear([name + f"self_attn.{p}_proj" for p in "qkv"], [D] * 3, D, bias=True)
        self.out = w.linear([name + "self_attn.out_proj"], [D], D, bias=True)
        self.norm2 = w.layer_norm(name + "layer_norm2", D)
        self.fc1 = w.linear([name + "mlp.fc1"], [c.vision_mlp], D, bias=True)
        self.fc2 = w.linear([name + "mlp.fc2"], [D], c.vision_mlp, bias=True)

    def forward(self, x: Tensor) -> Tensor:  # [V, N, D]
        V, N, D = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(V, N, 3, self.heads, D // self.heads).permute(2, 0, 3, 1, 4)
        a = F.scaled_dot_product_attention(q, k, v)
        x = x + self.out(a.transpose(1, 2).reshape(V, N, D))
        return x + self.fc2(F.gelu(self.fc1(self.norm2(x)), approximate="tanh"))


class Vision(nn.Module):
    """SigLIP and the projector: views [V, 3, H, W] in [-1, 1] to tokens [V * N, D]."""

    def __init__(self, w: Weights, c: Config):
        super().__init__()
        tower = VLM + "model.vision_tower.vision_model."
        D, self.patch = c.vision_width, c.patch
        self.embed = w.linear([tower + "embeddings.patch_embedding"], [D], 3 * c.patch**2, bias=True)
        self.position = w.constant(tower + "embeddings.position_embedding.weight", (c.view_tokens, D))
        self.layers = nn.ModuleList(VisionLayer(w, c, f"{tower}encoder.layers.{i}.") for i in range(c.vision_depth))
        self.post = w.layer_norm(tower + "post_layernorm", D)
        self.projector = w.linear([VLM + "model.multi_modal_projector.linear"], [c.prefix.width], D, bias=True)

    def forward(self, images: Tensor) -> Tensor:
        V, channels, H, W = images.shape
        p = self.patch
        rows = images.view(V, channels, H // p, p, W // p, p).permute(0, 2, 4, 1, 3, 5)
        x = self.embed(rows.reshape(V, (H // p) * (W // p), channels * p * p)) + self.position
        for layer in self.layers:
            x = layer(x)
        return self.projector(self.post(x)).flatten(0, 1)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """x [T, H, hd], cos and sin [T, 1, hd / 2]; the halves of a head are a pair."""
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1)


class GemmaLayer(nn.Module):
    """One layer; `modulation` [2, 3, D] (gain, shift, gate of both norms) replaces the weights of plain norms."""

    def __init__(self, w: Weights, c: Gemma, name: str, adaptive: bool, keys_only: bool = False):
        super().__init__()
        self.c, self.keys_only = c, keys_only
        q, kv = c.heads * c.head_dim, c.head_dim
        if not adaptive:
            self.gain1 = w.offset_gain(name + "input_layernorm.weight", c.width)
        parts = [name + f"self_attn.{p}_proj" for p in "qkv"]
        if keys_only:
            self.qkv = w.linear(parts[1:], [kv, kv], c.width)
            return
        self.qkv = w.linear(parts, [q, kv, kv], c.width)
        self.o = w.linear([name + "self_attn.o_proj"], [c.width], q)
        if not adaptive:
            self.gain2 = w.offset_gain(name + "post_attention_layernorm.weight", c.width)
        self.gate_up = w.linear([name + "mlp.gate_proj", name + "mlp.up_proj"], [c.mlp, c.mlp], c.width)
        self.down = w.linear([name + "mlp.down_proj"], [c.width], c.mlp)

    def norm(self, x: Tensor, which: int, modulation: Tensor | None) -> Tensor:
        if modulation is None:
            return F.rms_norm(x, (self.c.width,), self.gain2 if which else self.gain1, self.c.eps)
        gain, shift, _ = modulation[which]
        return F.rms_norm(x, (self.c.width,), None, self.c.eps) * gain + shift

    def keys(self, x: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor]:
        k, v = self.qkv(self.norm(x, 0, None)).chunk(2, dim=-1)
        return rotate(k.unsqueeze(1), cos, sin).squeeze(1), v

    def forward(self, x, cos, sin, past=None, modulation=None) -> tuple[Tensor, Tensor, Tensor]:
        c, T = self.c, x.shape[0]
        qkv = self.qkv(self.norm(x, 0, modulation)).view(T, c.heads + 2, c.head_dim)
        qk = rotate(qkv[:, : c.heads + 1], cos, sin)
        q, k, v = qk[:, : c.heads], qk[:, c.heads], qkv[:, c.heads + 1]
        keys, values = (k, v) if past is None else (torch.cat([past[0], k]), torch.cat([past[1], v]))
        # All heads read the same keys and nothing is masked, so heads are rows: [1, 1, T * H, hd].
        q = q.reshape(1, 1, T * c.heads, c.head_dim)
        a = F.scaled_dot_product_attention(q, keys[None, None], values[None, None])
        a = self.o(a.view(T, c.heads * c.head_dim))
        x = x + (a if modulation is None else modulation[0, 2] * a)
        gate, up = self.gate_up(self.norm(x, 1, modulation)).chunk(2, dim=-1)
        m = self.down(F.gelu(gate, approximate="tanh") * up)
        return x + (m if modulation is None else modulation[1, 2] * m), k, v


class Prefix(nn.Module):
    """Gemma over image and prompt tokens; gives the keys and values of every layer, each [P, hd]."""

    def __init__(self, w: Weights, c: Config):
        super().__init__()
        name = VLM + "model.language_model."
        self.width = c.prefix.width
        self.embedding = w.constant(name + "embed_tokens.weight", (c.vocabulary, c.prefix.width))
        last = c.prefix.depth - 1
        self.layers = nn.ModuleList(
            GemmaLayer(w, c.prefix, f"{name}layers.{i}.", adaptive=False, keys_only=i == last) for i in range(last + 1)
        )

    def forward(self, images: Tensor, tokens: Tensor, cos: Tensor, sin: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        x = torch.cat([images, F.embedding(tokens, self.embedding) * math.sqrt(self.width)])
        keys, values = [], []
        for layer in self.layers[:-1]:
            x, k, v = layer(x, cos, sin)
            keys.append(k)
            values.append(v)
        k, v = self.layers[-1].keys(x, cos, sin)
        return [*keys, k], [*values, v]


class Step(nn.Module):
    """The velocity of one Euler step; `modulation` is [2 depth + 1, 3, E]."""

    def __init__(self, w: Weights, c: Config):
        super().__init__()
        self.c, E = c.expert, c.expert.width
        self.action_in = w.linear(["action_in_proj"], [E], c.action_dim, bias=True, dtype=torch.float32)
        self.action_out = w.linear(["action_out_proj"], [c.action_dim], E, bias=True, dtype=torch.float32)
        self.layers = nn.ModuleList(
            GemmaLayer(w, c.expert, f"{EXPERT}layers.{i}.", adaptive=True) for i in range(c.expert.depth)
        )

    def forward(self, x, keys, values, cos, sin, modulation) -> Tensor:  # x [C, A] f32
        h = self.action_in(x).to(modulation.dtype)
        for i, layer in enumerate(self.layers):
            h, _, _ = layer(h, cos, sin, (keys[i], values[i]), modulation[2 * i : 2 * i + 2])
        gain, shift, _ = modulation[-1]
        h = F.rms_norm(h, (self.c.width,), None, self.c.eps) * gain + shift
        return self.action_out(h.float())


class Time:
    """The time MLP and the adaptive norms' projections, used once to make the modulation of every step."""

    def __init__(self, w: Weights, c: Config):
        self.c, E = c, c.expert.width
        f32 = torch.float32
        self.mlp_in = w.linear(["time_mlp_in"], [E], E, bias=True, dtype=f32)
        self.mlp_out = w.linear(["time_mlp_out"], [E], E, bias=True, dtype=f32)
        both = ("input_layernorm", "post_attention_layernorm")
        names = [f"{EXPERT}layers.{i}.{norm}.dense" for i in range(c.expert.depth) for norm in both]
        self.norms = [w.linear([n], [3 * E], E, bias=True, dtype=f32) for n in [*names, EXPERT + "norm.dense"]]

    def condition(self, times: Tensor) -> Tensor:  # [steps] -> [steps, E]
        half = self.c.expert.width // 2
        fraction = torch.linspace(0, 1, half, dtype=torch.float64)
        period = self.c.min_period * (self.c.max_period / self.c.min_period) ** fraction
        angle = 2 * math.pi * times.double()[:, None] / period
        embedding = torch.cat([angle.sin(), angle.cos()], dim=-1).float()
        return F.silu(self.mlp_out(F.silu(self.mlp_in(embedding))))

    def modulation(self, condition: Tensor) -> Tensor:  # [steps, 2 depth + 1, 3, E] with gain = 1 + scale
        rows = torch.stack([norm(condition) for norm in self.norms], dim=1)
        rows = rows.unflatten(-1, (3, self.c.expert.width))
        rows[:, :, 0] += 1
        return rows


class Pi05:
    """The three stages with their constants; `compile` replaces them by inductor's forms of themselves."""

    def __init__(self, w: Weights, c: Config, steps: int):
        self.c, self.dtype, self.steps = c, w.dtype, steps
        self.times = torch.tensor([1.0 - k / steps for k in range(steps)], dtype=torch.float64).float()
        self.vision, self.prefix, self.step = Vision(w, c), Prefix(w, c), Step(w, c)
        time = Time(w, c)
        self.condition = time.condition(self.times)
        self.modulation = time.modulation(self.condition).to(w.dtype)

    def rotary(self, first: int, count: int) -> tuple[Tensor, Tensor]:
        half = self.c.prefix.head_dim // 2
        inverse = self.c.prefix.theta ** (-torch.arange(half, dtype=torch.float64) / half)
        angle = torch.arange(first, first + count, dtype=torch.float64)[:, None] * inverse
        return angle.cos()[:, None].to(self.dtype), angle.sin()[:, None].to(self.dtype)

    def denoise(self, noise: Tensor, keys, values, rotary, seen=None) -> Tensor:
        x = noise
        for step in range(self.steps):
            v = self.step(x, keys, values, *rotary, self.modulation[step])
            if seen is not None:
                seen.append((x, v))
            x = x - v / self.steps
        return x

    def compile(self) -> None:
        """Freezing lets inductor pack the weights for oneDNN once; nothing faster is offered for a CPU."""
        import torch._inductor.config as inductor

        inductor.freezing = True
        inductor.freezing_discard_parameters = True
        torch._dynamo.config.recompile_limit = 64
        for stage in ("vision", "prefix", "step"):
            setattr(self, stage, torch.compile(getattr(self, stage), fullgraph=True, dynamic=False))

    def parameters(self) -> int:
        return sum(t.numel() for m in (self.vision, self.prefix, self.step) for t in m.state_dict().values())

    def weight_bytes(self) -> int:
        return sum(t.nbytes for m in (self.vision, self.prefix, self.step) for t in m.state_dict().values())


def flops(c: Config, views: int, prompt: int, horizon: int, steps: int) -> dict[str, float]:
    """Multiplications and additions of matmuls and attention, by stage, without what is folded or dropped."""
    T, P = views * c.view_tokens, views * c.view_tokens + prompt

    def gemma_matmuls(g: Gemma) -> int:
        q = g.heads * g.head_dim
        return g.width * (q + 2 * g.head_dim) + q * g.width + 3 * g.width * g.mlp

    D, M = c.vision_width, c.vision_mlp
    vision = 2.0 * T * (3 * c.patch**2 * D + c.vision_depth * (4 * D * D + 2 * D * M) + D * c.prefix.width)
    vision += 4.0 * c.vision_depth * T * c.view_tokens * D
    g, e = c.prefix, c.expert
    prefix = 2.0 * P * ((g.depth - 1) * gemma_matmuls(g) + 2 * g.head_dim * g.width)
    prefix += 4.0 * (g.depth - 1) * P * P * g.heads * g.head_dim
    step = 2.0 * horizon * (e.depth * gemma_matmuls(e) + 2 * c.action_dim * e.width)
    step += 4.0 * e.depth * horizon * (P + horizon) * e.heads * e.head_dim
    return {"vision": vision, "prefix": prefix, "denoise": step * steps}
