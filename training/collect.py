# SPDX-License-Identifier: Apache-2.0
"""Collects demonstrations into a folder, one uncompressed .npz per successful episode.

They are collected in FOLDER.part, which gets its name when all is done: a run that was interrupted is never taken for a
whole one, and the next run goes on with the seeds that are missing.
"""

from __future__ import annotations

import argparse
import os
import time
from collections import Counter
from pathlib import Path

import numpy as np
from tqdm import tqdm

import paths  # noqa: F401  (finds the flash_rt package of this repository)
from flash_rt.eval.metaworld import TASKS
from demonstrations import Episode
from workers import Job, run_jobs

FIRST_TRAINING_SEED = 1_000_000  # evaluation uses seeds far below: the episodes are held out


def name_of(job: Job) -> str:
    return "-".join(map(str, job))


def write(path: Path, episode: Episode) -> None:
    """The file is there whole or not at all."""
    half = path.with_suffix(".half")
    with open(half, "wb") as f:
        np.savez(f, images=episode.images, states=episode.states, actions=episode.actions, places=episode.places)
    os.replace(half, path)


def collect(out: Path, tasks: list[str], episodes: int, workers: int, horizon: int, image_size: int,
            first_seed: int = FIRST_TRAINING_SEED, predict=None, stop_after: float = float("inf")) -> dict:
    """Tries `episodes` seeds of every task; returns counts. With `predict`, the policy acts first, then the expert.

    Tried are the seeds that really ran in this call; seeds that failed in an interrupted one are tried again.
    """
    if out.exists():
        raise FileExistsError(f"{out} holds a finished collection: name another folder, or remove this one")
    part = out.with_name(out.name + ".part")
    part.mkdir(parents=True, exist_ok=True)
    there = {f.stem for f in part.glob("*.npz")}
    kind = "demo" if predict is None else "takeover"
    # Two workers' worth of seeds at a time per task: few scene changes, and an early stop leaves the tasks balanced.
    block = 25
    jobs = [(kind, task, first_seed + i) for start in range(0, episodes, block) for task in tasks
            for i in range(start, min(start + block, episodes))]
    jobs = [job for job in jobs if name_of(job) not in there]
    tried, kept, moments, began = 0, Counter(), 0, time.monotonic()
    bar = tqdm(total=len(jobs), desc=kind, mininterval=5.0)

    def done(job, episode) -> None:
        nonlocal tried, moments
        tried += 1
        bar.update()
        if episode is not None:
            kept[job[1]] += 1
            moments += len(episode.states)
            write(part / f"{name_of(job)}.npz", episode)

    run_jobs(jobs, workers, horizon, image_size, done, predict, stop_after)
    bar.close()
    part.rename(out)
    return {"already there": len(there), "tried": tried, "kept": dict(kept), "moments": moments,
            "seconds": time.monotonic() - began}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=list(TASKS))
    parser.add_argument("--episodes", type=int, default=300, help="seeds tried per task")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--horizon", type=int, default=16)
    parser.add_argument("--image-size", type=int, default=112)
    args = parser.parse_args()
    print(collect(args.out, args.tasks, args.episodes, args.workers, args.horizon, args.image_size))


if __name__ == "__main__":
    main()
