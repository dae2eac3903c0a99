#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Goldens of flashrt/nn: transformers' own Gemma and SigLIP classes at sizes that pi0.5's goldens do not have.

Gemma with several key heads (pi0.5 has one), a prefix that sees itself and a suffix that sees all; SigLIP with nine
tokens a view. Usage: nn_golden.py OUT
"""

import argparse
from pathlib import Path

import torch
from common import deterministic, randomize, rng, sanity
from safetensors.torch import save_file
from transformers import GemmaConfig, GemmaModel, SiglipVisionConfig, SiglipVisionModel

PREFIX, SUFFIX = 11, 5


def gemma(out: dict[str, torch.Tensor]) -> None:
    config = GemmaConfig(
        vocab_size=8, hidden_size=40, intermediate_size=56, num_hidden_layers=3, num_attention_heads=6,
        num_key_value_heads=2, head_dim=12, hidden_activation="gelu_pytorch_tanh", attn_implementation="eager",
    )  # fmt: skip
    model = GemmaModel(config).eval()
    randomize(model, 5)
    def keep(layer, args, y):
        i = layer.self_attn.layer_idx
        out[f"gemma/x{i}"], out[f"gemma/x{i + 1}"] = args[0][0], (y[0] if isinstance(y, tuple) else y)[0]

    for layer in model.layers:
        layer.register_forward_hook(keep)
    T = PREFIX + SUFFIX
    hidden = torch.zeros(1, 1, T, T)
    hidden[..., :PREFIX, PREFIX:] = torch.finfo(torch.float32).min
    x = torch.from_numpy(rng("gemma", "x").standard_normal((1, T, config.hidden_size))).float()
    done = model(inputs_embeds=x, attention_mask=hidden, use_cache=True)
    for i, layer in enumerate(done.past_key_values.layers):
        out[f"gemma/k{i}"], out[f"gemma/v{i}"] = layer.keys[0], layer.values[0]  # [kv heads, T, head_dim]
    for name, p in model.named_parameters():
        if name.startswith("layers."):
            out[f"gemma.{name}"] = p


def siglip(out: dict[str, torch.Tensor]) -> None:
    config = SiglipVisionConfig(
        hidden_size=36, intermediate_size=52, num_hidden_layers=2, num_attention_heads=3, image_size=42, patch_size=14,
        attn_implementation="eager", vision_use_head=False,
    )  # fmt: skip
    model = SiglipVisionModel(config).eval()
    projector = torch.nn.Linear(config.hidden_size, 44)
    randomize(torch.nn.ModuleDict({"vision_tower": model, "projector": projector}), 6)
    images = torch.from_numpy(rng("siglip", "images").uniform(-1, 1, (2, 3, 42, 42))).float()
    hidden = model(pixel_values=images).last_hidden_state
    out["siglip/images"] = images.permute(0, 2, 3, 1)  # [views, height, width, 3]
    out["siglip/features"] = projector(hidden)
    for name, p in model.named_parameters():
        out["siglip." + name.removeprefix("vision_model.")] = p
    for name, p in projector.named_parameters():
        out[f"projector.{name}"] = p


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("out", type=Path, help="the folder, for example flashrt/nn/golden")
    args = p.parse_args()
    deterministic()
    out: dict[str, torch.Tensor] = {}
    with torch.no_grad():
        gemma(out)
        siglip(out)
    sanity(out)
    args.out.mkdir(parents=True, exist_ok=True)
    save_file({k: v.detach().contiguous().clone() for k, v in out.items()}, args.out / "nn.safetensors")


if __name__ == "__main__":
    main()
