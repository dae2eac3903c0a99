# SPDX-License-Identifier: Apache-2.0
"""Checks the written goldens: the two oracles against each other, and that no parameter can be wrong unnoticed.

usage: check.py GOLDEN_DIR
"""

import json
import sys
from pathlib import Path

import torch
from lerobot.policies.pi05.modeling_pi05 import PI05Pytorch
from safetensors.torch import load_file

import common
import lerobot_tiny as tiny

# Never read at inference: both language heads, and the half of the last VLM layer that comes after its K and V.
UNUSED = ["gemma_expert.lm_head", "paligemma.lm_head", "language_model.norm"]
UNUSED_LAST = ["self_attn.q_proj", "self_attn.o_proj", "post_attention_layernorm", "mlp."]


def sample(model, golden, case, steps):
    images = list(golden[f"{case}/model_images"][:, None])
    masks = [m.bool()[None] for m in golden[f"{case}/image_mask"]]
    tokens, token_mask = golden[f"{case}/tokens"][None], golden[f"{case}/token_mask"].bool()[None]
    return model.sample_actions(images, masks, tokens, token_mask, noise=golden[f"{case}/noise"][None], num_steps=steps)


def depth(weights, prefix: str) -> int:
    return 1 + max(int(k.removeprefix(prefix).split(".")[0]) for k in weights if k.startswith(prefix))


def gemma_of(weights, prefix: str):
    q, k, gate = (weights[f"{prefix}0.{n}.weight"] for n in ("self_attn.q_proj", "self_attn.k_proj", "mlp.gate_proj"))
    return tiny.gemma(q.shape[1], depth(weights, prefix), gate.shape[0], q.shape[0] // k.shape[0], k.shape[0])


def openpi_weights_in_lerobot(folder: Path) -> None:
    """lerobot's model, loaded with the openpi checkpoint, must retrace every velocity that openpi computed."""
    weights = load_file(folder / "model.safetensors")
    golden = load_file(folder / "golden.safetensors")
    config = json.loads((folder / "config.json").read_text())
    head = weights["paligemma_with_expert.paligemma.lm_head.weight"]
    heads = config["vision_config"]["num_attention_heads"]
    tower = "paligemma_with_expert.paligemma.model.vision_tower.vision_model.encoder.layers."
    fc1 = weights[tower + "0.mlp.fc1.weight"]
    vlm = gemma_of(weights, "paligemma_with_expert.paligemma.model.language_model.layers.")
    expert = gemma_of(weights, "paligemma_with_expert.gemma_expert.model.layers.")
    tiny.install(tiny.Sizes(head.shape[0], vlm, expert, fc1.shape[1], fc1.shape[0], depth(weights, tower), heads))
    action_width = weights["action_in_proj.weight"].shape[1]
    model = PI05Pytorch(
        tiny.lerobot_config(["a", "b", "c"], 6, 7, chunk_size=config["action_horizon"], max_action_dim=action_width)
    ).eval()
    weights["paligemma_with_expert.paligemma.model.language_model.embed_tokens.weight"] = head.clone()
    model.load_state_dict(weights)
    for case in json.loads((folder / "golden.json").read_text())["cases"]:
        steps = len(golden[f"{case}/time"])
        with common.Recorder(model) as seen:
            final = sample(model, golden, case, steps)[0]
        got = seen.tensors()
        keys = [k for k in ("image_features", "prefix_k", "prefix_v", "v", "x") if f"{case}/{k}" in golden]
        worst = {k: float((got[k] - golden[f"{case}/{k}"]).abs().max()) for k in keys}
        worst["actions"] = float((final - golden[f"{case}/actions_normalized"]).abs().max())
        print(f"openpi_tiny/{case}: lerobot differs by at most", {k: f"{v:.1e}" for k, v in worst.items()})
        assert max(worst.values()) < 2e-3, worst  # the two keep time differently, see README.md


def every_parameter_matters(folder: Path) -> None:
    """Moves each parameter by 10 % of its own scale; the final actions must move far more than any tolerance."""
    golden = load_file(folder / "golden.safetensors")
    weights = load_file(folder / "model.safetensors")
    vocab = weights["model.paligemma_with_expert.paligemma.lm_head.weight"].shape[0]
    tiny.install(tiny.lerobot_sizes(vocab))
    model = PI05Pytorch(tiny.lerobot_config(["base", "wrist"], 6, 7)).eval()
    model.load_state_dict({k.removeprefix("model."): v for k, v in weights.items()})
    base = sample(model, golden, "native", 3)
    assert torch.equal(base[0], golden["native/actions_normalized"]), "the saved run does not repeat"
    last = f"language_model.layers.{tiny.lerobot_sizes(vocab).vlm.depth - 1}."
    weakest = {}
    for name, p in model.named_parameters():
        unused = any(u in name for u in UNUSED) or (last in name and any(u in name for u in UNUSED_LAST))
        kept = p.data.clone()
        z = torch.from_numpy(common.rng("nudge", name).standard_normal(tuple(p.shape))).float()
        p.data = kept + 0.1 * kept.std() * z
        moved = float((sample(model, golden, "native", 3) - base).abs().max())
        p.data = kept
        if unused:
            assert moved == 0, (name, moved)
        else:
            weakest[name] = moved
    for name in sorted(weakest, key=weakest.get)[:5]:
        print(f"lerobot_tiny: 10 % noise moves the actions by {weakest[name]:.1e} through {name}")
    floor = {n: m for n, m in weakest.items() if m < 3e-4 and "k_proj.bias" not in n}  # softmax cancels a key bias
    assert not floor, floor


if __name__ == "__main__":
    common.deterministic()
    folder = Path(sys.argv[1])
    every_parameter_matters(folder / "lerobot_tiny")
    openpi_weights_in_lerobot(folder / "openpi_tiny")
    print("ok")
