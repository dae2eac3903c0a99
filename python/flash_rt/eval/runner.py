# SPDX-License-Identifier: Apache-2.0
"""Closed-loop episodes: observe, ask for a chunk, execute its first actions, until done or out of steps."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from .environment import Environment, Observation
from .policies import Policy, chunk_noise


@dataclass
class Episode:
    task: str
    seed: int
    success: bool
    steps: int
    chunk_ms: list[float]
    frames: list[np.ndarray] = field(default_factory=list, repr=False)  # only where a recording was asked for


def run_episode(env: Environment, task: str, policy: Policy, seed: int, execute: int, max_steps: int | None = None,
                frame_every: int = 0, seen: Callable[[Observation, np.ndarray], None] | None = None) -> Episode:
    """One episode. `seen` is told every observation with its noise; `frame_every` > 0 records pictures."""
    limit = max_steps or env.max_steps
    if not 1 <= limit <= env.max_steps:
        raise ValueError(f"an episode of {task} has 1 to {env.max_steps} steps, not {limit}")
    if execute < 1:
        raise ValueError(f"{execute} actions of a chunk cannot be executed: name at least 1")
    observation = env.reset(seed)
    episode = Episode(task, seed, False, 0, [])
    while not episode.success and episode.steps < limit:
        noise = chunk_noise(policy.card, seed, len(episode.chunk_ms))
        if seen:
            seen(observation, noise)
        began = time.perf_counter()
        actions = policy.predict(observation, noise)
        episode.chunk_ms.append((time.perf_counter() - began) * 1e3)
        for action in actions[:min(execute, limit - episode.steps)]:
            if frame_every and episode.steps % frame_every == 0:
                episode.frames.append(env.frame().copy())
            episode.steps += 1
            if env.step(action):
                episode.success = True
                break
        else:
            if episode.steps < limit:
                observation = env.observe()
    if frame_every:
        episode.frames.append(env.frame().copy())
    return episode
