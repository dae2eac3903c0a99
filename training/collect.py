# SPDX-License-Identifier: Apache-2.0
"""Collects demonstrations into a folder, one uncompressed .npz per successful episode."""

from __future__ import annotations

import argparse
import time
from collections import Counter
from pathlib import Path

import numpy as np
from tqdm import tqdm

import paths  # noqa: F401  (finds the flash_rt package of this repository)
from flash_rt.eval.metaworld import TASKS
from workers import run_jobs

FIRST_TRAINING_SEED = 1_000_000  # evaluation uses seeds far below: the episodes are held out


def collect(out: Path, tasks: list[str], episodes: int, workers: int, horizon: int, image_size: int,
            first_seed: int = FIRST_TRAINING_SEED, predict=None, stop_after: float = float("inf")) -> dict:
    """Tries `episodes` seeds of every task; returns counts. With `predict`, the policy acts first, then the expert."""
    out.mkdir(parents=True, exist_ok=True)
    kind = "demo" if predict is None else "takeover"
    # Two workers' worth of seeds at a time per task: few scene changes, and an early stop leaves the tasks balanced.
    block = 25
    jobs = [(kind, task, first_seed + i) for start in range(0, episodes, block) for task in tasks
            for i in range(start, min(start + block, episodes))]
    kept, moments, began = Counter(), 0, time.monotonic()
    bar = tqdm(total=len(jobs), desc=kind, mininterval=5.0)

    def done(job, episode) -> None:
        nonlocal moments
        bar.update()
        if episode is not None:
            kept[job[1]] += 1
            moments += len(episode.states)
            np.savez(out / f"{kind}-{job[1]}-{job[2]}.npz", images=episode.images, states=episode.states,
                     actions=episode.actions, places=episode.places)

    run_jobs(jobs, workers, horizon, image_size, done, predict, stop_after)
    bar.close()
    return {"tried": len(jobs), "kept": dict(kept), "moments": moments, "seconds": time.monotonic() - began}


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
