# SPDX-License-Identifier: Apache-2.0
"""Tables, JSON and pictures from finished episodes."""

from __future__ import annotations

import json
import math
import os
import platform
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from .runner import Episode


def wilson(wins: int, count: int, z: float = 1.959964) -> tuple[float, float]:
    """The 95 % interval of a success rate; (0, 1) where nothing was tried."""
    if count == 0:
        return 0.0, 1.0
    rate, z2 = wins / count, z * z
    middle = (rate + z2 / (2 * count)) / (1 + z2 / count)
    half = z * math.sqrt(rate * (1 - rate) / count + z2 / (4 * count * count)) / (1 + z2 / count)
    # Exactly 0 and 1 are in the interval when every episode failed or succeeded; rounding must not push them out.
    return (0.0 if wins == 0 else middle - half), (1.0 if wins == count else middle + half)


def latency(chunk_ms: Sequence[float]) -> dict[str, float]:
    p50, p99 = np.percentile(chunk_ms, [50, 99])
    return {"p50_ms": float(p50), "p99_ms": float(p99), "count": len(chunk_ms)}


def summary(episodes: Sequence[Episode]) -> dict:
    """Success, interval, steps of the successful episodes, and latency: per task and over all of them."""

    def of(group: Sequence[Episode]) -> dict:
        wins = sum(e.success for e in group)
        low, high = wilson(wins, len(group))
        steps = [e.steps for e in group if e.success]
        return {"episodes": len(group), "successes": wins, "rate": wins / len(group), "wilson95": [low, high],
                "mean_steps": float(np.mean(steps)) if steps else None,
                "latency": latency([ms for e in group for ms in e.chunk_ms])}

    tasks = list(dict.fromkeys(e.task for e in episodes))
    return {"tasks": {t: of([e for e in episodes if e.task == t]) for t in tasks}, "all": of(episodes)}


def table(title: str, result: dict) -> str:
    lines = [title, f"{'task':<22} {'success':>9}  {'95 % interval':<15} {'steps':>6} {'p50 ms':>8} {'p99 ms':>8}"]
    for name, row in [*result["tasks"].items(), ("all", result["all"])]:
        low, high = row["wilson95"]
        steps = "-" if row["mean_steps"] is None else f"{row['mean_steps']:.0f}"
        lines.append(f"{name:<22} {row['successes']:>4}/{row['episodes']:<4}  {low:6.1%} - {high:6.1%} {steps:>6} "
                     f"{row['latency']['p50_ms']:8.2f} {row['latency']['p99_ms']:8.2f}")
    return "\n".join(lines)


def machine() -> dict:
    model = platform.processor()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass  # not Linux on x86: the platform's own word stays
    return {"cpu": model, "cores": len(os.sched_getaffinity(0)), "load": os.getloadavg()[0], "system": platform.platform()}


def write_json(path: Path, content: dict) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n")


def labelled(picture: np.ndarray, text: str) -> Image.Image:
    image = Image.fromarray(picture)
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, image.width, 14), fill=(0, 0, 0))
    draw.text((3, 1), text, fill=(255, 255, 255))
    return image


def write_gif(path: Path, episode: Episode, fps: float) -> None:
    """The episode's frames as an endless animation, the last one held."""
    verdict = "done" if episode.success else "not done"
    frames = [labelled(f, episode.task) for f in episode.frames[:-1]]
    frames.append(labelled(episode.frames[-1], f"{episode.task}: {verdict} in {episode.steps} steps"))
    frames = [f.quantize(64) for f in frames]
    times = [int(1000 / fps)] * (len(frames) - 1) + [1200]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=times, loop=0, optimize=True)


def write_sheet(path: Path, episodes: Sequence[Episode], columns: int = 6) -> None:
    """One row an episode: moments from its first frame to its last."""
    rows = []
    for episode in episodes:
        index = np.linspace(0, len(episode.frames) - 1, columns).round().astype(int)
        verdict = "done" if episode.success else "not done"
        texts = [episode.task] + [""] * (columns - 2) + [f"{verdict}, {episode.steps} steps"]
        rows.append(np.concatenate([np.asarray(labelled(episode.frames[i], t)) for i, t in zip(index, texts)], axis=1))
    Image.fromarray(np.concatenate(rows)).save(path, optimize=True)
