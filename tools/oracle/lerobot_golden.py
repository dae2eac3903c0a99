# SPDX-License-Identifier: Apache-2.0
"""Writes golden/lerobot_tiny: a checkpoint saved by lerobot's own code, and what lerobot computes with it.

usage: lerobot_golden.py OUT_DIR TOKENIZER.model
"""

import json
import shutil
import sys
from pathlib import Path

import torch
from lerobot.policies.factory import make_pre_post_processors
from lerobot.lerobot_types import TransitionKey
from lerobot.policies.pi05.modeling_pi05 import PI05Policy
from lerobot.policies.pi05.processor_pi05 import Pi05PrepareStateTokenizerProcessorStep
from lerobot.policies.utils import prepare_observation_for_inference
from lerobot.processor import PolicyProcessorPipeline
from lerobot.processor.converters import policy_action_to_transition, transition_to_policy_action
from safetensors.torch import load_file

import common
import lerobot_tiny as tiny

SEED = 20260
CAMERAS = ["base", "wrist"]
STATE_DIM, ACTION_DIM = 6, 7
STATE_IN_RANGE = [0.31, -0.52, 0.753, -0.11, 0.0, 0.93]  # normalised; turned into raw units by the statistics
STATE_OUT_OF_RANGE = [-1.4, 1.3, -0.9965, 0.995, 0.0, 0.503]

# name, frame sizes per camera in input_features order (None = camera absent), normalised state, prompt, steps
CASES = [
    ("native", [(28, 28), (28, 28)], STATE_IN_RANGE, "pick up the red_block\nand place it on the plate", None),
    ("resized", [(37, 53), (64, 48)], STATE_OUT_OF_RANGE, "  close the door of the microwave_ ", None),
    ("second_camera_absent", [(28, 28), None], STATE_IN_RANGE, "Turn off the light", None),
    ("first_camera_absent", [None, (28, 28)], STATE_IN_RANGE, "fold the towel in half", None),
    ("ten_steps", [(28, 28), (28, 28)], STATE_OUT_OF_RANGE, "open the top drawer of the cabinet", 10),
    (
        "prompt_cut_at_the_limit",
        [(28, 28), (28, 28)],
        STATE_IN_RANGE,
        "zip the bag, then lift it; hold it still and do not move until the person has taken the cup from the tray",
        None,
    ),
]
# Intermediates left out where another case already shows them, to keep the folder small.
DROP = {
    "second_camera_absent": {"prefix_embeds"},
    "first_camera_absent": {"prefix_embeds"},
    "ten_steps": {"prefix_embeds", "prefix_k", "prefix_v"},
    "prompt_cut_at_the_limit": {"prefix_embeds", "prefix_k", "prefix_v"},
}
# Normalised values at, just below and beyond bin edges, given to the state step directly.
BIN_VALUES = [-5.0, -1.0000001, -1.0, -0.99218756, -0.9921875, -1e-9, 0.0, 0.1, 0.2, 0.9921874, 0.9921875, 1.0, 7.5]
# Text only: what lerobot's processor makes of these prompts.
PROMPTS = [
    "",
    "   ",
    "caf\u00e9 \U0001f916",
    "a\tb\r\nc",
    "\u00a0wipe\u2003",
    "x  y",
    "\n_\n",
    "3.5 kg",
    "<unused7> go",
]


def statistics() -> dict:
    g = common.rng(SEED, "statistics")
    return {
        "observation.state": tiny.statistics(g, STATE_DIM, constant=(4,)),
        "action": tiny.statistics(g, ACTION_DIM, constant=(5,)),
    }


def raw_state(normalised, stats) -> torch.Tensor:
    q01, q99 = stats["q01"], stats["q99"]
    return (torch.tensor(normalised) + 1) / 2 * (q99 - q01) + q01


def save_checkpoint(out: Path, tokenizer: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(tokenizer, out / "tokenizer.model")
    tiny.use_tokenizer(out)
    config = tiny.lerobot_config(CAMERAS, STATE_DIM, ACTION_DIM)
    policy = PI05Policy(config).eval()
    common.randomize(policy, SEED)
    policy.save_pretrained(out)
    pre, post = make_pre_post_processors(config, dataset_stats=statistics())
    pre.save_pretrained(out)
    post.save_pretrained(out)


def load_checkpoint(out: Path):
    """What the goldens are computed with is read back from the files, not kept from before they were written."""
    policy = PI05Policy.from_pretrained(out).eval()
    saved = load_file(out / "model.safetensors")
    state = policy.state_dict()
    # lerobot's loader overwrites the embedding with lm_head whenever the file has an lm_head; here they must be equal.
    for key, value in saved.items():
        assert torch.equal(value, state[key]), key
    pre = PolicyProcessorPipeline.from_pretrained(out, config_filename="policy_preprocessor.json")
    post = PolicyProcessorPipeline.from_pretrained(
        out,
        config_filename="policy_postprocessor.json",
        to_transition=policy_action_to_transition,
        to_output=transition_to_policy_action,
    )
    return policy, pre, post


def add_extension(out: Path, heads: int) -> None:
    """Adds the one fact that no tensor's shape tells; last, since lerobot refuses unknown keys."""
    path = out / "config.json"
    config = json.loads(path.read_text())
    config["vision_config"] = {"num_attention_heads": heads}
    path.write_text(json.dumps(config, indent=4) + "\n")


def check_bins_are_safe(normalised: torch.Tensor) -> None:
    """A state next to a bin edge would make the prompt depend on the last bit of the normalisation."""
    scaled = (normalised + 1) * 128
    distance = (scaled - scaled.round()).abs()
    assert ((distance > 0.01) | (normalised == -1)).all(), normalised


def run_case(policy, pre, post, name, sizes, normalised, prompt, steps):
    stats = statistics()["observation.state"]
    state = raw_state(normalised, stats)
    frames = {c: common.frame(*size, name, c) for c, size in zip(CAMERAS, sizes) if size}
    observation = {f"observation.images.{c}": f for c, f in frames.items()}
    batch = pre(
        prepare_observation_for_inference(
            {**observation, "observation.state": state.numpy()}, torch.device("cpu"), prompt
        )
    )
    noise = torch.from_numpy(common.noise(policy.config.chunk_size, policy.config.max_action_dim, SEED, name))
    images, img_masks = policy._preprocess_images(batch)
    tokens, masks = batch["observation.language.tokens"], batch["observation.language.attention_mask"]
    with common.Recorder(policy.model) as seen:
        final = policy.model.sample_actions(images, img_masks, tokens, masks, noise=noise[None], num_steps=steps)
    sliced = final[:, :, :ACTION_DIM]  # as predict_action_chunk does
    actions = torch.stack([post(sliced[:, i])[0] for i in range(sliced.shape[1])])
    assert torch.equal(actions, post(sliced)[0])

    check_bins_are_safe(batch["observation.state"][0])
    out = {f"images/{c}": torch.from_numpy(f) for c, f in frames.items()}
    out |= seen.tensors()
    out |= {
        "noise": noise,
        "state": state,
        "state_normalized": batch["observation.state"][0],
        "actions_normalized": final[0],
        "actions": actions,
    }
    out = {k: v for k, v in out.items() if k not in DROP.get(name, ())}
    text = batch["task"][0]
    used = [int(t) for t, m in zip(tokens[0], masks[0]) if m]
    meta = {
        "cameras": [c for c, size in zip(CAMERAS, sizes) if size],
        "prompt": prompt,
        "text": text,
        "token_ids": used,
        "state_bins": [int(b) for b in text.split(", State: ")[1].split(";\n")[0].split()],
        "num_steps": len(seen.times),
    }
    return {f"{name}/{k}": v for k, v in out.items()}, meta


def tokenizations(pre, state) -> list[dict]:
    rows = []
    for prompt in PROMPTS:
        frame = common.frame(28, 28)
        obs = {f"observation.images.{CAMERAS[0]}": frame, "observation.state": state.numpy().copy()}
        batch = pre(prepare_observation_for_inference(obs, torch.device("cpu"), prompt))
        ids, mask = batch["observation.language.tokens"][0], batch["observation.language.attention_mask"][0]
        rows.append({"prompt": prompt, "text": batch["task"][0], "token_ids": ids[mask].tolist()})
    return rows


def bins() -> list[dict]:
    step = Pi05PrepareStateTokenizerProcessorStep()
    values = torch.tensor([BIN_VALUES], dtype=torch.float32)
    done = step(
        {TransitionKey.OBSERVATION: {"observation.state": values}, TransitionKey.COMPLEMENTARY_DATA: {"task": [""]}}
    )
    text = done[TransitionKey.COMPLEMENTARY_DATA]["task"][0]
    printed = text.split("State: ")[1].split(";")[0].split()
    return [{"value": float(v), "bin": int(b)} for v, b in zip(values[0].tolist(), printed, strict=True)]


def main(out: Path, tokenizer: Path) -> None:
    common.deterministic()
    import sentencepiece

    sp = sentencepiece.SentencePieceProcessor(model_file=str(tokenizer))
    sizes = tiny.lerobot_sizes(sp.get_piece_size())
    tiny.install(sizes)
    save_checkpoint(out, tokenizer)
    policy, pre, post = load_checkpoint(out)

    tensors, cases = {}, {}
    for case in CASES:
        case_tensors, cases[case[0]] = run_case(policy, pre, post, *case)
        tensors |= case_tensors
        text, limit = cases[case[0]]["text"], policy.config.tokenizer_max_length
        assert cases[case[0]]["token_ids"] == ([sp.bos_id()] + sp.encode(text))[:limit], "tokenizers disagree"
    state = raw_state(STATE_IN_RANGE, statistics()["observation.state"])
    rows = tokenizations(pre, state)
    for row in rows:
        assert row["token_ids"] == [sp.bos_id()] + sp.encode(row["text"]), row
    meta = {
        "source": "lerobot PI05Policy with its own processors",
        "versions": common.versions(
            "lerobot", "transformers", "torch", "numpy", "tokenizers", "safetensors", "sentencepiece"
        ),
        "dtype": "float32",
        "seed": SEED,
        "cases": cases,
        "state_bins": bins(),
        "tokenization": rows,
    }
    common.write_golden(out, tensors, meta)
    add_extension(out, sizes.vision_heads)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
