# SPDX-License-Identifier: Apache-2.0
"""Runs a policy directory through the training code: the reference that the engine is compared with."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load_file as load_numpy
from safetensors.torch import load_file

from dataset import Stats, denormalise, normalise
from model import ModelConfig, Pi05
from prompt import Tokenizer


def shapes_to_config(w: dict[str, torch.Tensor], config: dict) -> ModelConfig:
    """Sizes from the tensors; only what no shape tells comes from config.json."""
    vlm, expert = "paligemma_with_expert.paligemma.model.", "paligemma_with_expert.gemma_expert.model."
    tower = vlm + "vision_tower.vision_model."
    language = vlm + "language_model."

    def depth(prefix: str) -> int:
        found = [re.match(re.escape(prefix) + r"layers\.(\d+)\.", n) for n in w]
        return 1 + max(int(m.group(1)) for m in found if m)

    patch = w[tower + "embeddings.patch_embedding.weight"]
    head_dim, width = w[language + "layers.0.self_attn.k_proj.weight"].shape
    cameras = [n for n, f in config["input_features"].items() if f["type"] == "VISUAL"]
    return ModelConfig(
        image_size=config["image_resolution"][0], patch=patch.shape[-1], cameras=len(cameras),
        vision_width=patch.shape[0], vision_depth=depth(tower + "encoder."),
        vision_heads=config["vision_config"]["num_attention_heads"],
        vision_mlp=w[tower + "encoder.layers.0.mlp.fc1.weight"].shape[0], width=width, depth=depth(language),
        heads=w[language + "layers.0.self_attn.q_proj.weight"].shape[0] // head_dim, head_dim=head_dim,
        mlp=w[language + "layers.0.mlp.gate_proj.weight"].shape[0],
        expert_width=w["action_in_proj.weight"].shape[0],
        expert_mlp=w[expert + "layers.0.mlp.gate_proj.weight"].shape[0],
        vocab=w[language + "embed_tokens.weight"].shape[0], action_dim=w["action_in_proj.weight"].shape[1],
        horizon=config["chunk_size"], min_period=config["min_period"], max_period=config["max_period"])


class TorchPolicy:
    """A loaded policy: observations in the robot's units in, actions in the robot's units out."""

    def __init__(self, model: Pi05, stats: Stats, tokenizer: Tokenizer, cameras: list[str], action_dim: int, steps: int,
                 device: str):
        self.model, self.stats, self.tokenizer, self.cameras = model, stats, tokenizer, cameras
        self.action_dim, self.steps, self.device = action_dim, steps, device
        self.autocast = device == "cuda"

    @classmethod
    def load(cls, folder: Path, device: str = "cpu") -> TorchPolicy:
        config = json.loads((folder / "config.json").read_text())
        weights = {n.removeprefix("model."): t.float() for n, t in load_file(folder / "model.safetensors").items()}
        pali = "paligemma_with_expert.paligemma."
        weights.setdefault(pali + "model.language_model.embed_tokens.weight", weights.get(pali + "lm_head.weight"))
        weights = {n: w for n, w in weights.items() if ".lm_head." not in n}  # tied or never read
        c = shapes_to_config(weights, config)
        model = Pi05(c)
        model.load_state_dict(weights)
        steps = json.loads((folder / "policy_preprocessor.json").read_text())["steps"]
        state_file = next(s["state_file"] for s in steps if s["registry_name"] == "normalizer_processor")
        stats: Stats = {}
        for name, value in load_numpy(folder / state_file).items():
            feature, stat = name.rsplit(".", 1)
            stats.setdefault(feature, {})[stat] = value
        cameras = [n.removeprefix("observation.images.") for n, f in config["input_features"].items()
                   if f["type"] == "VISUAL"]
        tokenizer = Tokenizer(folder / "tokenizer.model", config["tokenizer_max_length"])
        return cls(model.to(device).eval(), stats, tokenizer, cameras, config["output_features"]["action"]["shape"][0],
                   config["num_inference_steps"], device)

    def batch(self, images: np.ndarray, states: np.ndarray, prompts: list[str], noise: np.ndarray) -> np.ndarray:
        """images [B, V, S, S, 3] uint8, states [B, n], noise [B, C, A] -> actions [B, C, action_dim]."""
        normalised = normalise(states, self.stats["observation.state"])
        tokens, valid = (np.stack(x) for x in zip(*map(self.tokenizer.pad, prompts, normalised)))
        x = torch.from_numpy(images).to(self.device).float() / 255.0 * 2.0 - 1.0
        with torch.autocast(self.device, dtype=torch.bfloat16, enabled=self.autocast), torch.inference_mode():
            actions = self.model.sample(x.permute(0, 1, 4, 2, 3), torch.from_numpy(tokens).to(self.device),
                                        torch.from_numpy(valid).to(self.device),
                                        torch.from_numpy(noise).to(self.device), self.steps)
        return denormalise(actions[..., :self.action_dim].float().cpu().numpy(), self.stats["action"])
