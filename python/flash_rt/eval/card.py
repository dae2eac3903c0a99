# SPDX-License-Identifier: Apache-2.0
"""What a policy directory says about itself, and whether that agrees with an environment.

A robot run with swapped cameras or without its statistics moves, but wrongly; every disagreement is refused here.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from pathlib import Path

from .environment import Interface

_NEEDED = {"QUANTILES": ("q01", "q99"), "MEAN_STD": ("mean", "std"), "MIN_MAX": ("min", "max"),
           "QUANTILE10": ("q10", "q90"), "IDENTITY": ()}


class PolicyMismatch(ValueError):
    """The policy cannot be run as asked; the text says what disagrees and what to do."""


@dataclass(frozen=True)
class Card:
    folder: Path
    cameras: tuple[str, ...]
    state_dim: int
    action_dim: int
    model_action_dim: int
    horizon: int
    execute: int  # actions executed before the next chunk is asked for
    steps: int


def tensor_shapes(path: Path) -> dict[str, list[int]]:
    """Names and shapes in a safetensors file, from its header alone."""
    with path.open("rb") as f:
        start = f.read(8)
        if len(start) < 8 or (length := struct.unpack("<Q", start)[0]) > path.stat().st_size - 8:
            raise PolicyMismatch(f"{path} is cut off or not a safetensors file: fetch the policy again")
        raw = f.read(length)
    header = parse_object(raw, path)
    try:
        return {name: entry["shape"] for name, entry in header.items() if name != "__metadata__"}
    except (KeyError, TypeError) as error:
        raise PolicyMismatch(f"{path} has tensors without a shape: fetch the policy again") from error


def parse_object(raw: bytes, path: Path) -> dict:
    """A JSON object out of `path`."""
    try:
        content = json.loads(raw)
    except ValueError as error:  # also bytes that are no UTF-8
        raise PolicyMismatch(f"{path} is not JSON ({error}): fetch the policy again") from error
    if not isinstance(content, dict):
        raise PolicyMismatch(f"{path} holds no JSON object: fetch the policy again")
    return content


def read_card(folder: Path) -> Card:
    """Reads config.json and checks that the statistics it needs are there."""
    path = folder / "config.json"
    if not path.is_file():
        raise PolicyMismatch(f"{folder} has no config.json: --policy wants a lerobot policy directory")
    config = parse_object(path.read_bytes(), path)
    if config.get("type") != "pi05":
        raise PolicyMismatch(f"{path} says type {config.get('type')!r}; this evaluation runs pi05 policies")
    try:
        inputs, outputs = config["input_features"], config["output_features"]
        card = Card(folder, tuple(n.removeprefix("observation.images.") for n, f in inputs.items() if f["type"] == "VISUAL"),
                    inputs["observation.state"]["shape"][0], outputs["action"]["shape"][0], config["max_action_dim"],
                    config["chunk_size"], config["n_action_steps"], config["num_inference_steps"])
    except KeyError as error:
        raise PolicyMismatch(f"{path} lacks {error}: it is not a complete lerobot pi05 configuration") from error
    except (TypeError, AttributeError, IndexError) as error:
        raise PolicyMismatch(f"{path} is not a lerobot pi05 configuration ({error}): fetch the policy again") from error
    numbers = {"the state's width": card.state_dim, "the action's width": card.action_dim,
               "max_action_dim": card.model_action_dim, "chunk_size": card.horizon, "n_action_steps": card.execute,
               "num_inference_steps": card.steps}
    if wrong := [f"{name} {value!r}" for name, value in numbers.items() if type(value) is not int or value < 1]:
        raise PolicyMismatch(f"{path} says {', '.join(wrong)}, which must be a whole number from 1: correct it")
    _check_statistics(card, config.get("normalization_mapping", {}))
    return card


def _check_statistics(card: Card, mapping: dict[str, str]) -> None:
    for name, registered, feature, kind, width in (
            ("policy_preprocessor", "normalizer_processor", "observation.state", "STATE", card.state_dim),
            ("policy_postprocessor", "unnormalizer_processor", "action", "ACTION", card.action_dim)):
        path = card.folder / f"{name}.json"
        if not path.is_file():
            raise PolicyMismatch(f"{path} is missing: without it actions cannot be put into the robot's units")
        mode, state = _normalisation(path, registered, kind, mapping)
        if _NEEDED[mode] and not state.is_file():
            raise PolicyMismatch(f"{state} is missing: {path.name} needs it for the statistics of {feature}")
        shapes = tensor_shapes(state) if _NEEDED[mode] else {}
        for stat in _NEEDED[mode]:
            if (shape := shapes.get(f"{feature}.{stat}")) != [width]:
                found = "is missing" if shape is None else f"has the shape {shape}"
                raise PolicyMismatch(f"{feature}.{stat} {found} in {state.name}, wanted [{width}]: copy the statistics "
                                     "of the data set that the policy was trained on")


def _normalisation(path: Path, registered: str, kind: str, mapping: dict[str, str]) -> tuple[str, Path]:
    """How a processor file normalises states or actions, and the file of statistics that it names."""
    try:
        step = next((s for s in parse_object(path.read_bytes(), path)["steps"] if s.get("registry_name") == registered), None)
        if step is None:
            raise PolicyMismatch(f"{path} has no {registered} step: the policy's statistics are missing")
        mode = step["config"].get("norm_map", mapping).get(kind, "IDENTITY")
        state = path.parent / step.get("state_file", "")
        known = mode in _NEEDED
    except (KeyError, TypeError, AttributeError) as error:
        raise PolicyMismatch(f"{path} is not a lerobot processor ({error!r}): fetch the policy again") from error
    if not known:
        raise PolicyMismatch(f"{path} normalises {kind} by {mode!r}; known are {', '.join(_NEEDED)}")
    return mode, state


def check_interface(card: Card, interface: Interface, environment: str) -> None:
    """Raises PolicyMismatch unless the policy takes and gives exactly what the environment gives and takes."""
    wanted, found = interface.cameras, card.cameras
    if wanted != found:
        if sorted(wanted) == sorted(found):
            raise PolicyMismatch(f"the policy lists its cameras as {list(found)}, {environment} as {list(wanted)}: they are "
                                 "swapped; correct the order of input_features in config.json or take another policy")
        raise PolicyMismatch(f"the policy wants the cameras {list(found)}, {environment} has {list(wanted)}: rename them in "
                             "config.json if they show the same views, else take a policy trained for them")
    if card.state_dim != interface.state_dim:
        raise PolicyMismatch(f"the policy was trained with a state of {card.state_dim} numbers, {environment} gives "
                             f"{interface.state_dim}: take a policy trained with this robot's state")
    if card.action_dim != interface.action_dim:
        raise PolicyMismatch(f"the policy gives {card.action_dim} numbers an action, {environment} takes "
                             f"{interface.action_dim}: take a policy trained for this robot")
    if not 1 <= card.execute <= card.horizon:
        raise PolicyMismatch(f"n_action_steps is {card.execute} but a chunk has {card.horizon} actions: correct config.json")
