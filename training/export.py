# SPDX-License-Identifier: Apache-2.0
"""Writes a trained network as a policy directory in lerobot's pi0.5 layout (JSON and safetensors only)."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from dataset import Stats
from model import ModelConfig

NORMALISATION = {"VISUAL": "IDENTITY", "STATE": "QUANTILES", "ACTION": "QUANTILES"}


def features(c: ModelConfig, cameras: tuple[str, ...], state_dim: int, action_dim: int) -> tuple[dict, dict]:
    size = c.image_size
    inputs = {f"observation.images.{name}": {"type": "VISUAL", "shape": [3, size, size]} for name in cameras}
    inputs["observation.state"] = {"type": "STATE", "shape": [state_dim]}
    return inputs, {"action": {"type": "ACTION", "shape": [action_dim]}}


def policy_config(c: ModelConfig, cameras: tuple[str, ...], state_dim: int, action_dim: int, execute: int, steps: int,
                  prompt_length: int) -> dict:
    inputs, outputs = features(c, cameras, state_dim, action_dim)
    return {
        "type": "pi05", "n_obs_steps": 1, "chunk_size": c.horizon, "n_action_steps": execute,
        "input_features": inputs, "output_features": outputs, "normalization_mapping": NORMALISATION,
        "dtype": "bfloat16", "max_state_dim": 8, "max_action_dim": c.action_dim, "num_inference_steps": steps,
        "min_period": c.min_period, "max_period": c.max_period, "image_resolution": [c.image_size, c.image_size],
        "empty_cameras": 0, "tokenizer_max_length": prompt_length, "use_relative_actions": False,
        # Not a lerobot key: the one size of this network that no tensor shape tells.
        "vision_config": {"num_attention_heads": c.vision_heads},
    }


def processor(name: str, steps: list[tuple[str, dict, str | None]]) -> dict:
    listed = []
    for registered, config, state in steps:
        entry = {"registry_name": registered, "config": config}
        if state:
            entry["state_file"] = state
        listed.append(entry)
    return {"name": name, "steps": listed}


def write_processors(out: Path, inputs: dict, outputs: dict, stats: Stats, prompt_length: int) -> None:
    norm = {"eps": 1e-8, "features": {**inputs, **outputs}, "norm_map": NORMALISATION}
    pre_state = "policy_preprocessor_step_3_normalizer_processor.safetensors"
    post_state = "policy_postprocessor_step_0_unnormalizer_processor.safetensors"
    pre = processor("policy_preprocessor", [
        ("rename_observations_processor", {"rename_map": {}}, None),
        ("to_batch_processor", {}, None),
        ("relative_actions_processor", {"enabled": False, "exclude_joints": [], "action_names": None}, None),
        ("normalizer_processor", norm, pre_state),
        ("pi05_prepare_state_tokenizer_processor_step", {}, None),
        ("tokenizer_processor", {"max_length": prompt_length, "task_key": "task", "padding_side": "right",
                                 "padding": "max_length", "truncation": True, "tokenizer_name": "tokenizer.model"},
         None),
        ("device_processor", {"device": "cpu", "float_dtype": None}, None)])
    post = processor("policy_postprocessor", [
        ("unnormalizer_processor", {**norm, "features": outputs}, post_state),
        ("absolute_actions_processor", {"enabled": False}, None),
        ("device_processor", {"device": "cpu", "float_dtype": None}, None)])
    tensors = {f"{feature}.{stat}": torch.from_numpy(np.asarray(value, dtype=np.float32).copy())
               for feature in ("observation.state", "action") for stat, value in stats[feature].items()}
    for name, content, state in (("policy_preprocessor", pre, pre_state), ("policy_postprocessor", post, post_state)):
        (out / f"{name}.json").write_text(json.dumps(content, indent=2) + "\n")
        save_file(tensors, out / state)


def export(out: Path, weights: dict[str, torch.Tensor], c: ModelConfig, stats: Stats, tokenizer: Path,
           cameras: tuple[str, ...], state_dim: int, action_dim: int, execute: int, steps: int,
           prompt_length: int) -> None:
    """Writes the policy directory; weights are rounded to bfloat16, which is what every precision then starts from."""
    out.mkdir(parents=True, exist_ok=True)
    config = policy_config(c, cameras, state_dim, action_dim, execute, steps, prompt_length)
    (out / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    write_processors(out, config["input_features"], config["output_features"], stats, prompt_length)
    rounded = {f"model.{n}": w.detach().cpu().to(torch.bfloat16).contiguous() for n, w in weights.items()}
    save_file(rounded, out / "model.safetensors", metadata={"format": "pt"})
    if tokenizer.resolve() != (out / "tokenizer.model").resolve():
        shutil.copyfile(tokenizer, out / "tokenizer.model")
