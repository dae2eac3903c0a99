# SPDX-License-Identifier: Apache-2.0
"""What an evaluated simulator must offer: one small adapter file per simulator implements `Environment`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np


@dataclass(frozen=True)
class Observation:
    """What a policy may see: images by camera name, proprioception and the instruction."""

    images: dict[str, np.ndarray]  # name -> [H, W, 3] uint8, RGB, row 0 at the top
    state: np.ndarray  # [state_dim] float32
    prompt: str


@dataclass(frozen=True)
class Interface:
    """The fixed facts of an environment that a policy has to agree with."""

    cameras: tuple[str, ...]  # in the order in which a policy must list them
    state_dim: int
    action_dim: int


class Environment(Protocol):
    """One task of a simulator, closed loop; constructed with the task's name."""

    interface: Interface
    fps: float  # control steps per simulated second
    max_steps: int

    @classmethod
    def all_tasks(cls) -> dict[str, str]:
        """Every task's name and instruction."""

    def reset(self, seed: int) -> Observation:
        """Starts the episode that `seed` names; the same seed gives the same episode."""

    def observe(self) -> Observation:
        """The present observation (renders the cameras)."""

    def step(self, action: np.ndarray) -> bool:
        """Applies one action [action_dim]; returns the simulator's own verdict whether the task is now done."""

    def frame(self) -> np.ndarray:
        """A picture [H, W, 3] uint8 for people."""

    def close(self) -> None:
        """Frees the simulator."""
