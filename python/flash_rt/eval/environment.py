# SPDX-License-Identifier: Apache-2.0
"""What an evaluated simulator must offer: one small adapter file per simulator implements `Environment`."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import numpy as np


class Unavailable(ImportError):
    """Something that was asked for is not installed here; the text says how to install it."""


@contextmanager
def needing(what: str, pip: str, draws: bool = False) -> Iterator[None]:
    """Imports inside it that fail raise Unavailable with the line that helps; `draws` where they load OpenGL."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise Unavailable(f"{what} needs the Python package {error.name}: {pip}") from error
    except (ImportError, AttributeError, OSError, RuntimeError) as error:
        # PyOpenGL without its library is an AttributeError of None, which names neither the library nor the package.
        if not draws:
            raise
        raise Unavailable(f"{what} cannot draw with MUJOCO_GL={os.environ.get('MUJOCO_GL', '')} ({error}): osmesa draws on "
                          "the CPU (Debian and Ubuntu: apt-get install libosmesa6), egl on a GPU") from error

# Name of the command -> module and class.
ADAPTERS = {"metaworld": ("metaworld", "MetaWorld"), "libero": ("libero", "Libero")}


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


def adapter(name: str) -> type[Environment]:
    """The adapter's class; only the one that is asked for is imported, with its simulator."""
    module, cls = ADAPTERS[name]
    return getattr(importlib.import_module(f".{module}", __package__), cls)
