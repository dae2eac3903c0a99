# SPDX-License-Identifier: Apache-2.0
"""The pi0.5 forward in PyTorch at any width, with the parameter names of the lerobot layout.

Prefix: SigLIP tokens of every camera, then the prompt (state included, as text), one bidirectional Gemma pass whose
keys and values are kept. Suffix: the noisy action chunk through the action expert (adaptive RMSNorm, conditioned on
the flow time), attending to the kept keys and values and to itself. `t = 1` is noise, `t = 0` is data.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class ModelConfig:
    """Every size of the network; the heads share one key/value head, as in Gemma 2B."""

    image_size: int = 112
    patch: int = 14
    cameras: int = 2
    vision_width: int = 192
    vision_depth: int = 6
    vision_heads: int = 6
    vision_mlp: int = 768
    width: int = 256
    depth: int = 6
    heads: int = 4
    head_dim: int = 64
    mlp: int = 768
    expert_width: int = 192
    expert_mlp: int = 512
    vocab: int = 640
    action_dim: int = 8
    horizon: int = 16
    min_period: float = 4e-3
    max_period: float = 4.0

    def to_dict(self) -> dict:
        return asdict(self)


class RmsNorm(nn.Module):
    """Gemma's norm; the stored weight is an offset from one."""

    def __init__(self, width: int):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        y = x.float()
        y = y * torch.rsqrt(y.square().mean(-1, keepdim=True) + 1e-6)
        return (y * (1.0 + self.weight.float())).to(x.dtype)


class AdaRmsNorm(nn.Module):
    """RMSNorm whose scale and shift, and the residual's gate, come from the flow time."""

    def __init__(self, width: int):
        super().__init__()
        self.dense = nn.Linear(width, 3 * width)
        nn.init.zeros_(self.dense.weight)
        nn.init.zeros_(self.dense.bias)

    def forward(self, x: Tensor, cond: Tensor) -> tuple[Tensor, Tensor]:
        scale, shift, gate = self.dense(cond).unsqueeze(-2).chunk(3, dim=-1)
        y = x.float()
        y = y * torch.rsqrt(y.square().mean(-1, keepdim=True) + 1e-6)
        return (y * (1.0 + scale.float()) + shift.float()).to(x.dtype), gate


def rope(x: Tensor, positions: Tensor) -> Tensor:
    """Rotates pairs (i, i + hd/2) of x [B, H, T, hd] by positions [B, T]."""
    half = x.shape[-1] // 2
    inverse = 10000.0 ** (-torch.arange(half, device=x.device, dtype=torch.float32) / half)
    angle = positions.float()[:, None, :, None] * inverse  # [B, 1, T, hd/2]
    cos, sin = angle.cos(), angle.sin()
    a, b = x.float().chunk(2, dim=-1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1).to(x.dtype)


class VisionLayer(nn.Module):
    def __init__(self, c: ModelConfig):
        super().__init__()
        width = c.vision_width
        self.heads = c.vision_heads
        self.layer_norm1 = nn.LayerNorm(width, eps=1e-6)
        self.layer_norm2 = nn.LayerNorm(width, eps=1e-6)
        self.self_attn = nn.ModuleDict({k: nn.Linear(width, width) for k in ("q_proj", "k_proj", "v_proj", "out_proj")})
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(width, c.vision_mlp), "fc2": nn.Linear(c.vision_mlp, width)})

    def forward(self, x: Tensor) -> Tensor:
        y = self.layer_norm1(x)
        q, k, v = (self.self_attn[n](y).unflatten(-1, (self.heads, -1)).transpose(1, 2)
                   for n in ("q_proj", "k_proj", "v_proj"))  # [B, H, T, hd]
        x = x + self.self_attn["out_proj"](F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        y = F.gelu(self.mlp["fc1"](self.layer_norm2(x)), approximate="tanh")
        return x + self.mlp["fc2"](y)


class VisionModel(nn.Module):
    def __init__(self, c: ModelConfig):
        super().__init__()
        tokens = (c.image_size // c.patch) ** 2
        self.embeddings = nn.ModuleDict({
            "patch_embedding": nn.Conv2d(3, c.vision_width, c.patch, stride=c.patch),
            "position_embedding": nn.Embedding(tokens, c.vision_width),
        })
        nn.init.normal_(self.embeddings["position_embedding"].weight, std=0.1)
        self.encoder = nn.ModuleDict({"layers": nn.ModuleList(VisionLayer(c) for _ in range(c.vision_depth))})
        self.post_layernorm = nn.LayerNorm(c.vision_width, eps=1e-6)

    def forward(self, images: Tensor) -> Tensor:  # [B, 3, S, S] in [-1, 1] -> [B, T, D]
        x = self.embeddings["patch_embedding"](images).flatten(2).transpose(1, 2)
        x = x + self.embeddings["position_embedding"].weight
        for layer in self.encoder["layers"]:
            x = layer(x)
        return self.post_layernorm(x)


class GemmaLayer(nn.Module):
    """One Gemma layer; `adaptive` makes its two norms depend on the flow time (the action expert)."""

    def __init__(self, c: ModelConfig, width: int, mlp: int, adaptive: bool):
        super().__init__()
        self.heads, self.head_dim = c.heads, c.head_dim
        norm = AdaRmsNorm if adaptive else RmsNorm
        self.input_layernorm = norm(width)
        self.post_attention_layernorm = norm(width)
        rows = c.heads * c.head_dim
        self.self_attn = nn.ModuleDict({
            "q_proj": nn.Linear(width, rows, bias=False),
            "k_proj": nn.Linear(width, c.head_dim, bias=False),
            "v_proj": nn.Linear(width, c.head_dim, bias=False),
            "o_proj": nn.Linear(rows, width, bias=False),
        })
        self.mlp = nn.ModuleDict({
            "gate_proj": nn.Linear(width, mlp, bias=False),
            "up_proj": nn.Linear(width, mlp, bias=False),
            "down_proj": nn.Linear(mlp, width, bias=False),
        })

    def qkv(self, n: Tensor, positions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        q = self.self_attn["q_proj"](n).unflatten(-1, (self.heads, self.head_dim)).transpose(1, 2)
        k = self.self_attn["k_proj"](n).unsqueeze(1)  # [B, 1, T, hd]
        v = self.self_attn["v_proj"](n).unsqueeze(1)
        return rope(q, positions), rope(k, positions), v

    def attend(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
        shape = (-1, self.heads, -1, -1)
        y = F.scaled_dot_product_attention(q, k.expand(shape), v.expand(shape), attn_mask=mask)
        return self.self_attn["o_proj"](y.transpose(1, 2).flatten(2))

    def feed_forward(self, n: Tensor) -> Tensor:
        return self.mlp["down_proj"](F.gelu(self.mlp["gate_proj"](n), approximate="tanh") * self.mlp["up_proj"](n))


def module(**children: nn.Module) -> nn.Module:
    """A bare container, so that parameter names follow the published layout."""
    m = nn.Module()
    for name, child in children.items():
        m.add_module(name, child)
    return m


class Pi05(nn.Module):
    def __init__(self, c: ModelConfig):
        super().__init__()
        self.c = c
        expert = c.expert_width
        language = module(
            embed_tokens=nn.Embedding(c.vocab, c.width),
            layers=nn.ModuleList(GemmaLayer(c, c.width, c.mlp, adaptive=False) for _ in range(c.depth)),
            norm=RmsNorm(c.width))
        nn.init.normal_(language.embed_tokens.weight, std=c.width**-0.5)
        self.paligemma_with_expert = module(
            paligemma=module(model=module(
                vision_tower=module(vision_model=VisionModel(c)),
                multi_modal_projector=module(linear=nn.Linear(c.vision_width, c.width)),
                language_model=language)),
            gemma_expert=module(model=module(
                layers=nn.ModuleList(GemmaLayer(c, expert, c.expert_mlp, adaptive=True) for _ in range(c.depth)),
                norm=AdaRmsNorm(expert))))
        self.action_in_proj = nn.Linear(c.action_dim, expert)
        self.action_out_proj = nn.Linear(expert, c.action_dim)
        self.time_mlp_in = nn.Linear(expert, expert)
        self.time_mlp_out = nn.Linear(expert, expert)

    @property
    def vlm(self) -> nn.Module:
        return self.paligemma_with_expert.paligemma.model

    @property
    def expert(self) -> nn.Module:
        return self.paligemma_with_expert.gemma_expert.model

    def embed_images(self, images: Tensor) -> Tensor:  # [B, V, 3, S, S] -> [B, V, T, D]
        x = self.vlm.vision_tower.vision_model(images.flatten(0, 1))
        return self.vlm.multi_modal_projector.linear(x).unflatten(0, images.shape[:2])

    def prefix(self, image_tokens: Tensor, tokens: Tensor, valid: Tensor) -> tuple[list, Tensor]:
        """Keys and values of every layer over [images | prompt], and which of those positions are real."""
        batch = tokens.shape[0]
        language = self.vlm.language_model.embed_tokens(tokens) * math.sqrt(self.c.width)
        image = image_tokens.flatten(1, 2)
        x = torch.cat((image, language.to(image.dtype)), dim=1)  # [B, P, D]
        present = torch.cat((valid.new_ones(batch, image.shape[1]), valid), dim=1)
        positions = present.long().cumsum(1) - 1
        mask = present[:, None, None, :]
        kept = []
        last = self.c.depth - 1
        for i, layer in enumerate(self.vlm.language_model.layers):
            q, k, v = layer.qkv(layer.input_layernorm(x), positions)
            kept.append((k, v))
            if i == last:  # only the keys and values of the last layer are ever used
                break
            x = x + layer.attend(q, k, v, mask)
            x = x + layer.feed_forward(layer.post_attention_layernorm(x))
        return kept, present

    def time_condition(self, t: Tensor) -> Tensor:  # [B] -> [B, E]
        half = self.c.expert_width // 2
        fraction = torch.linspace(0.0, 1.0, half, dtype=torch.float64, device=t.device)
        period = self.c.min_period * (self.c.max_period / self.c.min_period) ** fraction
        angle = t.double()[:, None] * (2.0 * math.pi / period)
        emb = torch.cat((angle.sin(), angle.cos()), dim=-1).to(self.time_mlp_in.weight.dtype)
        return F.silu(self.time_mlp_out(F.silu(self.time_mlp_in(emb))))

    def velocity(self, x: Tensor, t: Tensor, kept: list, present: Tensor) -> Tensor:
        """The flow's velocity for the chunk x [B, C, A] at times t [B]."""
        cond = self.time_condition(t)
        h = self.action_in_proj(x)
        chunk = x.shape[1]
        positions = present.sum(1, keepdim=True) + torch.arange(chunk, device=x.device)
        mask = torch.cat((present, present.new_ones(present.shape[0], chunk)), dim=1)[:, None, None, :]
        for layer, (pk, pv) in zip(self.expert.layers, kept):
            n, gate = layer.input_layernorm(h, cond)
            q, k, v = layer.qkv(n, positions)
            k, v = torch.cat((pk.to(k.dtype), k), dim=2), torch.cat((pv.to(v.dtype), v), dim=2)
            h = h + gate * layer.attend(q, k, v, mask)
            n, gate = layer.post_attention_layernorm(h, cond)
            h = h + gate * layer.feed_forward(n)
        h, _ = self.expert.norm(h, cond)
        return self.action_out_proj(h)

    @torch.no_grad()
    def sample(self, images: Tensor, tokens: Tensor, valid: Tensor, noise: Tensor, steps: int) -> Tensor:
        """The normalised chunk [B, C, A] after `steps` Euler steps from `noise`."""
        kept, present = self.prefix(self.embed_images(images), tokens, valid)
        x = noise
        for step in range(steps):
            t = torch.full((x.shape[0],), 1.0 - step / steps, device=x.device, dtype=torch.float32)
            x = x - self.velocity(x, t, kept, present).to(x.dtype) / steps
        return x
