# SPDX-License-Identifier: Apache-2.0
"""Writes golden/openpi_tiny: a checkpoint as openpi's converter lays it out, and what openpi's PyTorch code computes.

usage: openpi_golden.py OUT_DIR TOKENIZER.model      (with openpi's sources on PYTHONPATH, see README.md)
"""

import json
import pathlib
import sys

import numpy as np
import sentencepiece
import torch
from openpi import transforms
from openpi.models import gemma, model as openpi_model, pi0_config, tokenizer as openpi_tokenizer
from openpi.models_pytorch import gemma_pytorch, pi0_pytorch, preprocessing_pytorch
from openpi.policies import libero_policy, policy as openpi_policy
from openpi.shared import normalize
from safetensors.torch import load_model, save_model

import common

SEED = 70507
CHUNK, ACTION_WIDTH, ROBOT_ACTIONS, ROBOT_STATE, MAX_TOKENS = 6, 10, 7, 6, 72
VLM = gemma.Config(width=48, depth=3, mlp_dim=80, num_heads=3, num_kv_heads=1, head_dim=20)
EXPERT = gemma.Config(width=24, depth=3, mlp_dim=40, num_heads=3, num_kv_heads=1, head_dim=20)
VISION_WIDTH, VISION_MLP, VISION_LAYERS, VISION_HEADS = 36, 52, 2, 3
SLOTS = ("base_0_rgb", "left_wrist_0_rgb", "right_wrist_0_rgb")
DELTA_MASK = transforms.make_bool_mask(6, -1)

# name, frame sizes of the slots in order (None = masked slot), state in the prompt, prompt, Euler steps
CASES = [
    ("three_cameras", [(28, 28), (28, 28), (28, 28)], True, "Pick up the green_cup and place it on the shelf", 10),
    ("libero", [(37, 53), (64, 48), None], False, " put the red block\nin the basket_", 4),
    ("resized", [(100, 30), (20, 31), None], True, "turn on the stove", 4),
    ("base_only", [(28, 28), None, None], True, "wipe the table with the sponge", 4),
]
# Intermediates left out where another case already shows them, to keep the folder small.
DROP = {"resized": {"prefix_embeds", "prefix_k", "prefix_v"}, "base_only": {"prefix_embeds"}}


def install(vocab: int) -> None:
    """Replaces the sizes openpi hard-codes; every computation stays its own."""
    gemma.get_config = lambda variant: VLM if variant == "gemma_2b" else EXPERT
    paligemma, expert = gemma_pytorch.PaliGemmaForConditionalGeneration, gemma_pytorch.GemmaForCausalLM

    def tiny_paligemma(config):
        config._vocab_size = config.image_token_index = vocab  # noqa: SLF001
        config.text_config.vocab_size = vocab
        vision = config.vision_config
        vision.hidden_size, vision.intermediate_size = VISION_WIDTH, VISION_MLP
        vision.num_hidden_layers, vision.num_attention_heads = VISION_LAYERS, VISION_HEADS
        vision.image_size, vision.patch_size = common.IMAGE, common.PATCH
        vision.projection_dim = VLM.width
        return paligemma(config=config)

    def tiny_expert(config):
        config.vocab_size = vocab
        return expert(config=config)

    gemma_pytorch.PaliGemmaForConditionalGeneration = tiny_paligemma
    gemma_pytorch.GemmaForCausalLM = tiny_expert
    preprocessing_pytorch.preprocess_observation_pytorch.__kwdefaults__["image_resolution"] = (
        common.IMAGE,
        common.IMAGE,
    )


def build() -> pi0_pytorch.PI0Pytorch:
    config = pi0_config.Pi0Config(
        pi05=True,
        dtype="float32",
        action_dim=ACTION_WIDTH,
        action_horizon=CHUNK,
        max_token_len=MAX_TOKENS,
        pytorch_compile_mode=None,
    )
    model = pi0_pytorch.PI0Pytorch(config).eval()
    torch.set_float32_matmul_precision("highest")  # the constructor asks for "high"
    return model


def norm_stats() -> dict:
    g = common.rng(SEED, "norm stats")

    def stats(dim):
        center, spread = g.normal(0, 0.5, dim), g.uniform(0.2, 1.5, dim)
        return normalize.NormStats(
            mean=center + 0.03 * spread, std=0.4 * spread, q01=center - 0.95 * spread, q99=center + 0.9 * spread
        )

    # More state entries than the robot has, fewer action entries than the model has: both happen in published assets.
    return {"state": stats(ACTION_WIDTH), "actions": stats(ROBOT_ACTIONS)}


def save_checkpoint(out: pathlib.Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    model = build()
    common.randomize(model, SEED)
    save_model(model, str(out / "model.safetensors"))
    config = {
        "action_dim": ACTION_WIDTH,
        "action_horizon": CHUNK,
        "paligemma_variant": "gemma_2b",
        "action_expert_variant": "gemma_300m",
        "precision": "float32",
        "vision_config": {"num_attention_heads": VISION_HEADS},
    }
    (out / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    normalize.save(out / "assets" / "tiny", norm_stats())


def make_policy(model, stats, steps, *, state_in_prompt, libero, delta=False):
    inputs = [libero_policy.LiberoInputs(openpi_model.ModelType.PI05)] if libero else []
    return openpi_policy.Policy(
        model,
        transforms=[
            *inputs,
            transforms.Normalize(stats, use_quantiles=True),
            transforms.InjectDefaultPrompt(None),
            transforms.ResizeImages(common.IMAGE, common.IMAGE),
            transforms.TokenizePrompt(
                openpi_tokenizer.PaligemmaTokenizer(MAX_TOKENS), discrete_state_input=state_in_prompt
            ),
            transforms.PadStatesAndActions(ACTION_WIDTH),
        ],
        output_transforms=[
            transforms.Unnormalize(stats, use_quantiles=True),
            *([transforms.AbsoluteActions(DELTA_MASK)] if delta else []),
            libero_policy.LiberoOutputs(),
        ],
        sample_kwargs={"num_steps": steps},
        is_pytorch=True,
        pytorch_device="cpu",
    )


def observation(frames, sizes, state, prompt):
    if sizes[0] and sizes[1] and not sizes[2]:  # the form LIBERO clients send
        return {
            "observation/image": frames[SLOTS[0]],
            "observation/wrist_image": frames[SLOTS[1]],
            "observation/state": state.copy(),
            "prompt": prompt,
        }
    return {
        "image": {slot: frames.get(slot, np.zeros_like(frames[SLOTS[0]])) for slot in SLOTS},
        "image_mask": {slot: np.bool_(size is not None) for slot, size in zip(SLOTS, sizes)},
        "state": state.copy(),
        "prompt": prompt,
    }


def run_case(model, stats, sp, name, sizes, state_in_prompt, prompt, steps):
    g = common.rng(SEED, name, "state")
    bins = np.floor(g.uniform(-40, 280, ROBOT_STATE))
    normalised = (
        bins + g.uniform(0.2, 0.8, ROBOT_STATE)
    ) / 128 - 1  # inside the bins: an edge would hang on the last bit
    s = stats["state"]
    state = ((normalised + 1) / 2 * (s.q99 - s.q01 + 1e-6)[:ROBOT_STATE] + s.q01[:ROBOT_STATE]).astype(np.float32)
    frames = {slot: common.frame(*size, name, slot) for slot, size in zip(SLOTS, sizes) if size}
    libero = bool(sizes[0] and sizes[1] and not sizes[2])
    noise = common.noise(CHUNK, ACTION_WIDTH, SEED, name)

    def infer(**kwargs):
        policy = make_policy(model, stats, steps, state_in_prompt=state_in_prompt, libero=libero, **kwargs)
        final = []
        sample = policy._sample_actions  # noqa: SLF001
        policy._sample_actions = lambda *a, **k: final.append(sample(*a, **k)) or final[-1]  # noqa: SLF001
        actions = policy.infer(observation(frames, sizes, state, prompt), noise=noise)["actions"]
        return final[0][0], torch.from_numpy(np.asarray(actions, dtype=np.float32))

    with common.Recorder(model) as seen:
        final, actions = infer()
    _, actions_absolute = infer(delta=True)

    out = {f"images/{slot}": torch.from_numpy(f) for slot, f in frames.items()}
    out |= seen.tensors()
    normalised = transforms.Normalize(stats, use_quantiles=True)({"state": state})["state"]
    out |= {
        "noise": torch.from_numpy(noise),
        "state": torch.from_numpy(state),
        "state_normalized": torch.from_numpy(normalised.astype(np.float32)),
        "actions_normalized": final,
        "actions": actions,
        "actions_absolute": actions_absolute,
    }
    out = {k: v for k, v in out.items() if k not in DROP.get(name, ())}
    ids = [int(t) for t, m in zip(seen.tokens, seen.token_mask) if m]
    text = sp.decode(ids)
    meta = {
        "cameras": [slot for slot, size in zip(SLOTS, sizes) if size],
        "prompt": prompt,
        "state_in_prompt": state_in_prompt,
        "text": text,
        "token_ids": ids,
        "num_steps": len(seen.times),
        "delta_mask_of_actions_absolute": list(DELTA_MASK),
    }
    if state_in_prompt:
        meta["state_bins"] = [int(b) for b in text.split(", State: ")[1].split(";\n")[0].split()]
        assert meta["state_bins"] == np.clip(bins, -1, 255).astype(int).tolist(), meta
    assert len(seen.times) == steps
    return {f"{name}/{k}": v for k, v in out.items()}, meta


def main(out: pathlib.Path, tokenizer: pathlib.Path) -> None:
    common.deterministic()
    sp = sentencepiece.SentencePieceProcessor(model_file=str(tokenizer))
    openpi_tokenizer.download.maybe_download = lambda *_, **__: tokenizer  # openpi fetches PaliGemma's from a bucket
    install(sp.get_piece_size())
    save_checkpoint(out)

    model = build()
    load_model(model, str(out / "model.safetensors"))  # what openpi's load_pytorch does
    stats = normalize.load(out / "assets" / "tiny")
    tensors, cases = {}, {}
    for case in CASES:
        case_tensors, cases[case[0]] = run_case(model, stats, sp, *case)
        tensors |= case_tensors
    meta = {
        "source": "openpi PI0Pytorch with its own policy, transforms and tokenizer",
        "openpi_commit": "15a9616a00943ada6c20a0f158e3adb39df2ccac",
        "versions": common.versions(
            "transformers", "torch", "jax", "flax", "numpy", "pillow", "safetensors", "sentencepiece"
        ),
        "dtype": "float32",
        "seed": SEED,
        "slots": list(SLOTS),
        "cases": cases,
    }
    common.write_golden(out, tensors, meta)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
