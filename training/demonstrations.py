# SPDX-License-Identifier: Apache-2.0
"""Records scripted experts in Meta-World: what the policy would see, and the expert's next actions from there.

Disturbances (a random push of the hand, small noise on every action, or some seconds of a half-trained policy) are
executed but never recorded as actions, so the policy learns how the expert recovers. Only successful episodes count.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from flash_rt.eval.metaworld import MetaWorld

Chunk = Callable[[object], np.ndarray]  # observation -> actions [n, 4]


@dataclass
class Episode:
    """Recorded moments of one episode; `actions` holds the expert's next `horizon` actions at each of them."""

    images: np.ndarray  # [n, cameras, S, S, 3] uint8
    states: np.ndarray  # [n, 4]
    actions: np.ndarray  # [n, horizon, 4]
    places: np.ndarray  # [n, 6] object and goal, for the auxiliary loss of the training only


def expert_for(task: str):
    """Meta-World's own scripted policy for the task."""
    warnings.filterwarnings("ignore", message="Constant\\(s\\) may be too high")
    name = "".join(part.capitalize() for part in task.split("-"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        policies = importlib.import_module("metaworld.policies")
    return getattr(policies, f"Sawyer{name}V3Policy")()


def disturbances(rng: np.random.Generator, steps: int) -> np.ndarray:
    """The executed pushes [steps, 4]; NaN where the expert acts."""
    pushes = np.full((steps, 4), np.nan)
    starts = [0] if rng.random() < 0.6 else []
    if rng.random() < 0.5:
        starts.append(int(rng.integers(18, 70)))
    for start in starts:
        length = int(rng.integers(3, 18 if start == 0 else 9))
        direction = rng.normal(size=3)
        direction *= rng.uniform(0.3, 1.0) / np.abs(direction).max()
        pushes[start:start + length, :3] = direction
        pushes[start:start + length, 3] = np.nan if rng.random() < 0.7 else rng.uniform(-1.0, 1.0)
    return pushes


def demonstrate(env: MetaWorld, expert, seed: int, horizon: int, policy: Chunk | None = None,
                limit: int = 260, stride: int = 2) -> Episode | None:
    """One episode, or None when the expert does not finish in `limit` steps (or the policy did so before it)."""
    rng = np.random.default_rng(seed)
    env.reset(seed)
    if policy is not None:
        remaining = int(rng.integers(10, 160))  # together with `limit` below the simulator's own 500
        while remaining > 0:
            for action in policy(env.observe()):
                remaining -= 1
                if env.step(action):
                    return None
    undisturbed = rng.random() < 0.25
    pushes = disturbances(rng, limit + horizon)
    if undisturbed or policy is not None:
        pushes[:] = np.nan
    noise = 0.0 if undisturbed else float(rng.choice([0.0, 0.1, 0.3]))
    pushed = ~np.isnan(pushes[:, 0])
    phase, done_at = int(rng.integers(stride)), None
    actions, kept = [], []
    for t in range(limit + horizon):
        if done_at is not None and t >= done_at + horizon:
            break
        if done_at is None and t >= limit:
            return None
        action = np.clip(expert.get_action(env.privileged), -1.0, 1.0)
        if (t + phase) % stride == 0 and done_at is None and not pushed[t:t + horizon].any():
            seen = env.observe()
            places = np.concatenate((env.privileged[4:7], env.privileged[36:39]))
            kept.append((t, np.stack([seen.images[c].copy() for c in env.interface.cameras]), seen.state, places))
        actions.append(action)
        executed = action.copy()
        if done_at is None:
            executed[:3] += rng.normal(size=3) * noise
            executed = np.where(np.isnan(pushes[t]), executed, pushes[t])
        if env.step(executed) and done_at is None:
            done_at = t + 1
    if done_at is None or not kept:
        return None
    padded = np.concatenate((actions, np.repeat(actions[-1:], horizon, axis=0)))
    return Episode(np.stack([k[1] for k in kept]), np.stack([k[2] for k in kept]).astype(np.float32),
                   np.stack([padded[k[0]:k[0] + horizon] for k in kept]).astype(np.float32),
                   np.stack([k[3] for k in kept]).astype(np.float32))
