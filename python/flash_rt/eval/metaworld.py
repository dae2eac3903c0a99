# SPDX-License-Identifier: Apache-2.0
"""Meta-World (MuJoCo, PyPI `metaworld`) as an evaluation environment: eight tasks, two cameras, hand pose as state.

The policy never receives the object or goal coordinates that Meta-World puts in its observation vector: it sees two
rendered cameras, the hand position and the finger opening. Goals are drawn in the scene by Meta-World itself.
"""

from __future__ import annotations

import os
import warnings

os.environ.setdefault("MUJOCO_GL", "osmesa")  # must be set before mujoco is imported; EGL on machines with a GPU

import numpy as np

from .environment import Interface, Observation, needing

with needing("Meta-World", "pip install '.[eval]' in the repository", draws=True), warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import mujoco
    from metaworld.env_dict import ALL_V3_ENVIRONMENTS

TASKS = {
    "reach": "reach the red goal",
    "push": "push the puck to the green goal",
    "door-open": "open the door",
    "drawer-open": "open the drawer",
    "button-press-topdown": "press the button from above",
    "window-open": "open the window",
    "faucet-open": "open the faucet",
    "faucet-close": "close the faucet",
}


class MetaWorld:
    """One Meta-World task; a seed fixes where the object and the goal are."""

    interface = Interface(cameras=("front", "wrist"), state_dim=4, action_dim=4)
    fps = 80.0
    max_steps = 500

    @classmethod
    def all_tasks(cls) -> dict[str, str]:
        return dict(TASKS)

    def __init__(self, task: str, image_size: int = 112, frame_size: int = 224):
        if task not in TASKS:
            raise ValueError(f"no Meta-World task {task!r} here; choose from: {', '.join(TASKS)}")
        self.task, self.prompt = task, TASKS[task]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.sim = ALL_V3_ENVIRONMENTS[task + "-v3"]()
        self.sim._set_task_called = True  # tasks come from the seed, not from Meta-World's pickled task lists
        self.sim._freeze_rand_vec = False
        self.sim.seeded_rand_vec = True
        self.sim._partially_observable = False  # lets the scripted expert (not the policy) read the goal
        del self.sim.sawyer_observation_space
        quality = self.sim.model.vis.quality
        quality.shadowsize, quality.offsamples = 0, 0  # software and GPU renderers then agree closely
        self._renderers = {s: self._renderer(s) for s in {image_size, frame_size}}
        self.image_size, self.frame_size = image_size, frame_size
        self._front = mujoco.MjvCamera()
        self._front.type = mujoco.mjtCamera.mjCAMERA_FREE
        self._front.lookat[:] = (0.0, 0.66, 0.12)
        self._front.azimuth, self._front.elevation, self._front.distance = 225.0, -38.0, 1.0
        self.privileged = np.zeros(39)

    def _renderer(self, size: int) -> mujoco.Renderer:
        renderer = mujoco.Renderer(self.sim.model, size, size)
        renderer._scene.flags[mujoco.mjtRndFlag.mjRND_SHADOW] = 0
        renderer._scene.flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = 0
        return renderer

    def _render(self, camera, size: int) -> np.ndarray:
        renderer = self._renderers[size]
        renderer.update_scene(self.sim.data, camera=camera)
        return renderer.render()

    def reset(self, seed: int) -> Observation:
        for _ in range(2):  # the first pass removes what the previous episode left behind in Meta-World's fields
            self.sim.seed(seed)
            self.privileged, _ = self.sim.reset()
        mujoco.mj_forward(self.sim.model, self.sim.data)  # else the goal is drawn where the last episode had it
        return self.observe()

    def observe(self) -> Observation:
        images = {"front": self._render(self._front, self.image_size),
                  "wrist": self._render("gripperPOV", self.image_size)}
        return Observation(images, self.privileged[:4].astype(np.float32), self.prompt)

    def step(self, action: np.ndarray) -> bool:
        clipped = np.clip(np.asarray(action, dtype=np.float64), -1.0, 1.0)
        self.privileged, _, _, _, info = self.sim.step(clipped)
        return bool(info["success"] > 0.0)

    def frame(self) -> np.ndarray:
        return self._render(self._front, self.frame_size)

    def close(self) -> None:
        for renderer in self._renderers.values():
            renderer.close()
        self.sim.close()
