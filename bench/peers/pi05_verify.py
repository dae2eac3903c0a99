# SPDX-License-Identifier: Apache-2.0
"""The peer's forward against the goldens of a tiny checkpoint: what is timed computes pi0.5."""

import json
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

import pi05_model as pi05
from pi05_weights import StoredWeights

# As flashrt/models/pi05/pi05_test.cc: f32 at every stage, bf16 at the actions.
LIMITS = {"f32": ("relative L2", 1e-5), "bf16": ("1 - cosine", 1e-4)}


def config_of(folder: Path) -> pi05.Config:
    """The sizes of a checkpoint, from its tensors' shapes and the one fact they do not tell: the vision heads."""
    with safe_open(folder / "model.safetensors", "pt") as file:
        shapes = {k.removeprefix("model."): tuple(file.get_slice(k).get_shape()) for k in file.keys()}
    stated = json.loads((folder / "config.json").read_text())
    vlm, tower = pi05.VLM + "model.language_model.", pi05.VLM + "model.vision_tower.vision_model."

    def depth(stack: str) -> int:
        return 1 + max(int(k.removeprefix(stack).split(".")[0]) for k in shapes if k.startswith(stack))

    def gemma(stack: str) -> pi05.Gemma:
        head_dim, width = shapes[stack + "layers.0.self_attn.k_proj.weight"]
        return pi05.Gemma(
            width=width,
            depth=depth(stack + "layers."),
            mlp=shapes[stack + "layers.0.mlp.up_proj.weight"][0],
            heads=shapes[stack + "layers.0.self_attn.q_proj.weight"][0] // head_dim,
            head_dim=head_dim,
        )

    width, _, patch, _ = shapes[tower + "embeddings.patch_embedding.weight"]
    return pi05.Config(
        prefix=gemma(vlm),
        expert=gemma(pi05.EXPERT),
        vision_width=width,
        vision_depth=depth(tower + "encoder.layers."),
        vision_mlp=shapes[tower + "encoder.layers.0.mlp.fc1.bias"][0],
        vision_heads=stated["vision_config"]["num_attention_heads"],
        image=stated["image_resolution"][0],
        patch=patch,
        vocabulary=shapes[vlm + "embed_tokens.weight"][0],
        action_dim=shapes["action_in_proj.weight"][1],
    )


def run(model: pi05.Pi05, golden: dict[str, Tensor]) -> dict[str, Tensor]:
    present = golden["image_mask"].bool()
    tokens = golden["tokens"][golden["token_mask"].bool()]
    noise = golden["noise"]
    features = model.vision(golden["model_images"][present].to(model.dtype))
    P = len(features) + len(tokens)
    keys, values = model.prefix(features, tokens, *model.rotary(0, P))
    seen: list[tuple[Tensor, Tensor]] = []
    final = model.denoise(noise, keys, values, model.rotary(P, len(noise)), seen)
    return {
        "time": model.times,
        "adarms_cond": model.condition,
        "image_features": features.unflatten(0, (int(present.sum()), -1)),
        "prefix_k": torch.stack(keys),
        "prefix_v": torch.stack(values),
        "x": torch.stack([x for x, _ in seen]),
        "v": torch.stack([v for _, v in seen]),
        "actions_normalized": final,
    }


def distance(ours: Tensor, golden: Tensor, precision: str) -> float:
    a, b = ours.double().flatten(), golden.double().flatten()
    if precision == "f32":
        return float((a - b).norm() / b.norm())
    return float(1 - a @ b / (a.norm() * b.norm()))


def verify(folder: Path, modes: list[str]) -> int:
    """Prints the greatest distance of every quantity of every case; returns the number of cases that fail."""
    c, failed = config_of(folder), 0
    stored = load_file(folder / "golden.safetensors")
    cases = json.loads((folder / "golden.json").read_text())["cases"]
    for mode in modes:
        for precision, dtype in (("f32", torch.float32), ("bf16", torch.bfloat16)):
            what, limit = LIMITS[precision]
            for name, facts in cases.items():
                torch._dynamo.reset()
                golden = {k.removeprefix(name + "/"): t for k, t in stored.items() if k.startswith(name + "/")}
                model = pi05.Pi05(StoredWeights(folder / "model.safetensors", dtype), c, facts["num_steps"])
                if mode == "compile":
                    model.compile()
                with torch.no_grad():
                    ours = run(model, golden)
                golden["image_features"] = golden["image_features"][golden["image_mask"].bool()]
                found = {k: distance(t, golden[k], precision) for k, t in ours.items() if k in golden}
                worst = max(found, key=found.__getitem__)
                good = found[worst if precision == "f32" else "actions_normalized"] <= limit
                failed += not good
                print(
                    f"{'ok  ' if good else 'FAIL'} {mode:7} {precision:4} {name:24} {what} <= {limit:g}: actions"
                    f" {found['actions_normalized']:.2e}, worst of {len(found)} {worst} {found[worst]:.2e}"
                )
    print("the peer computes what upstream computes" if not failed else f"{failed} cases differ")
    return failed
