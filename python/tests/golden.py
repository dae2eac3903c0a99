# SPDX-License-Identifier: Apache-2.0
"""The goldens of flashrt/models/pi05/golden, read with numpy alone."""

import json
import pathlib

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDER = ROOT / "flashrt/models/pi05/golden"
TYPES = {"F32": np.float32, "U8": np.uint8, "I64": np.int64, "F64": np.float64, "BOOL": np.bool_}


def read_safetensors(path):
    """Every tensor of a file by name."""
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    header.pop("__metadata__", None)
    body = data[8 + size :]
    tensors = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        tensors[name] = np.frombuffer(body[begin:end], TYPES[entry["dtype"]]).reshape(entry["shape"])
    return tensors


class Case:
    """One golden call: what was asked, and what the independent implementation answered."""

    def __init__(self, layout, name, facts, tensors):
        self.layout, self.name = layout, name
        self.folder = FOLDER / layout
        self.prompt = facts["prompt"]
        self.num_steps = facts["num_steps"]
        self.state_in_prompt = facts.get("state_in_prompt", True)
        self.relative = facts.get("delta_mask_of_actions_absolute")
        self.token_ids = facts["token_ids"]
        take = lambda key: tensors[f"{name}/{key}"]
        self.images = {camera: take(f"images/{camera}") for camera in facts["cameras"]}
        self.state, self.noise = take("state"), take("noise")
        self.actions, self.actions_normalized = take("actions"), take("actions_normalized")
        self.actions_absolute = tensors.get(f"{name}/actions_absolute")

    def __repr__(self):
        return f"{self.layout}-{self.name}"


def cases(layout):
    facts = json.loads((FOLDER / layout / "golden.json").read_text())["cases"]
    tensors = read_safetensors(FOLDER / layout / "golden.safetensors")
    return [Case(layout, name, facts[name], tensors) for name in facts]


def relative_l2(actual, expected):
    difference = np.asarray(actual, np.float64) - np.asarray(expected, np.float64)
    return float(np.linalg.norm(difference) / np.linalg.norm(expected))


TOKENIZER = FOLDER / "lerobot_tiny" / "tokenizer.model"
