# SPDX-License-Identifier: Apache-2.0
"""Simulator processes that ask one policy for chunks: the policy answers everyone who waits in one batch."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterable
from multiprocessing.connection import Connection, wait

import numpy as np

from demonstrations import Episode, demonstrate, expert_for
from flash_rt.eval.metaworld import MetaWorld

Job = tuple[str, str, int]  # kind: "demo", "takeover" or "rollout"; task; seed


def rollout(env: MetaWorld, seed: int, policy, max_steps: int) -> tuple[bool, int]:
    env.reset(seed)
    steps = 0
    while steps < max_steps:
        for action in policy(env.observe())[:max_steps - steps]:
            steps += 1
            if env.step(action):
                return True, steps
    return False, steps


def _work(link: Connection, horizon: int, image_size: int) -> None:
    env, expert = None, None

    def policy(observation) -> np.ndarray:
        images = np.stack([observation.images[c] for c in MetaWorld.interface.cameras])
        link.send(("predict", images, observation.state, observation.prompt))
        return link.recv()

    while (job := link.recv()) is not None:
        kind, task, seed = job
        if env is None or env.task != task:
            if env is not None:
                env.close()
            env, expert = MetaWorld(task, image_size, image_size), expert_for(task)
        if kind == "rollout":
            result = rollout(env, seed, policy, MetaWorld.max_steps)
        else:
            result = demonstrate(env, expert, seed, horizon, policy if kind == "takeover" else None)
        link.send(("done", result))


def run_jobs(jobs: Iterable[Job], workers: int, horizon: int, image_size: int,
             done: Callable[[Job, Episode | tuple[bool, int] | None], None],
             predict: Callable[[np.ndarray, np.ndarray, list[str]], np.ndarray] | None = None,
             stop_after: float = float("inf")) -> None:
    """Runs the jobs on `workers` processes. `predict(images, states, prompts)` returns the actions to execute."""
    context = multiprocessing.get_context("spawn")
    queue, busy, processes = iter(jobs), {}, []
    deadline = time.monotonic() + stop_after

    def start(link: Connection) -> None:
        job = next(queue, None) if time.monotonic() < deadline else None
        link.send(job)
        if job is not None:
            busy[link] = job

    for _ in range(workers):
        ours, theirs = context.Pipe()
        process = context.Process(target=_work, args=(theirs, horizon, image_size), daemon=True)
        process.start()
        theirs.close()
        processes.append(process)
        start(ours)
    while busy:
        asked = []
        for link in wait(list(busy)):
            message = link.recv()
            if message[0] == "predict":
                asked.append((link, *message[1:]))
            else:
                done(busy.pop(link), message[1])
                start(link)
        if asked:
            chunks = predict(np.stack([a[1] for a in asked]), np.stack([a[2] for a in asked]), [a[3] for a in asked])
            for (link, *_), chunk in zip(asked, chunks):
                link.send(chunk)
    for process in processes:
        process.join()
