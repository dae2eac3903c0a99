# SPDX-License-Identifier: Apache-2.0
"""The two ways to run a policy directory: the engine, and the training code as its reference."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np

import flash_rt

from .card import Card, PolicyMismatch
from .environment import Observation, needing


class Policy(Protocol):
    """Runs one observation; the same noise gives comparable actions whatever runs it."""

    name: str
    card: Card

    def predict(self, observation: Observation, noise: np.ndarray) -> np.ndarray:
        """noise [horizon, model_action_dim] -> actions [horizon, action_dim] in the robot's units."""


def ordered_images(card: Card, observation: Observation) -> list[np.ndarray]:
    """The observation's pictures in the policy's order, by name: a swap cannot pass unseen."""
    if set(observation.images) != set(card.cameras):
        raise KeyError(f"the observation has the cameras {sorted(observation.images)}, the policy wants {list(card.cameras)}")
    return [observation.images[name] for name in card.cameras]


class EnginePolicy:
    """The engine, in this process."""

    def __init__(self, card: Card, precision: str, threads: int = 0):
        self.card, self.name = card, f"flashrt {precision}"
        self.model = flash_rt.load_model(checkpoint=str(card.folder), config="pi05", precision=precision, threads=threads)

    def predict(self, observation: Observation, noise: np.ndarray) -> np.ndarray:
        return self.model.predict(images=ordered_images(self.card, observation), prompt=observation.prompt,
                                  state=observation.state, noise=noise)


def training_folder() -> Path:
    """The repository's training folder: beside this file in a checkout, else in the folder one is in."""
    tried = [root / "training" for root in (Path(__file__).resolve().parents[3], Path.cwd())]
    for folder in tried:
        if (folder / "policy.py").is_file() and (folder / "model.py").is_file():
            return folder
    raise FileNotFoundError(f"the torch engine is the training code, which is not at {' or '.join(map(str, tried))}: "
                            "run this from the root of the repository")


class TorchReference:
    """The training code of this repository with the same weights, in float32."""

    def __init__(self, card: Card, threads: int = 0):
        folder = training_folder()
        sys.path.insert(0, str(folder))
        try:
            with needing("the reference", f"pip install -r {folder / 'requirements.txt'}"):
                import torch
                from policy import TorchPolicy
        finally:
            sys.path.remove(str(folder))
        torch.set_num_threads(threads or len(os.sched_getaffinity(0)))
        self.card, self.name = card, "torch f32"
        for name in ("model.safetensors", "tokenizer.model"):
            if not (card.folder / name).is_file():
                raise PolicyMismatch(f"{card.folder} has no {name}, which the reference reads: fetch the policy again")
        self.model = TorchPolicy.load(card.folder)

    def predict(self, observation: Observation, noise: np.ndarray) -> np.ndarray:
        images = np.stack(ordered_images(self.card, observation))[None]
        return self.model.batch(images, observation.state[None], [observation.prompt], noise[None])[0]


class Blind:
    """A policy that sees only grey: the control experiment that shows whether a task needs looking."""

    def __init__(self, policy: Policy):
        self.policy, self.card, self.name = policy, policy.card, f"{policy.name}, blind"

    def predict(self, observation: Observation, noise: np.ndarray) -> np.ndarray:
        grey = {name: np.full_like(picture, 128) for name, picture in observation.images.items()}
        return self.policy.predict(replace(observation, images=grey), noise)


def chunk_noise(card: Card, seed: int, chunk: int) -> np.ndarray:
    """The noise of an episode's n-th chunk: the same for every engine and precision."""
    rng = np.random.default_rng([seed, chunk])
    return rng.standard_normal((card.horizon, card.model_action_dim)).astype(np.float32)
