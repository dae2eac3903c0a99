# SPDX-License-Identifier: Apache-2.0
"""Demonstrations as tensors on one device, with quantile normalisation and tokenised prompts."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from instructions import PARAPHRASES
from prompt import Tokenizer

Stats = dict[str, dict[str, np.ndarray]]


def statistics(values: np.ndarray) -> dict[str, np.ndarray]:
    """Per-dimension statistics under lerobot's names."""
    q = np.quantile(values, [0.01, 0.1, 0.5, 0.9, 0.99], axis=0)
    return {"mean": values.mean(0), "std": values.std(0), "min": values.min(0), "max": values.max(0), "q01": q[0],
            "q10": q[1], "q50": q[2], "q90": q[3], "q99": q[4], "count": np.array([len(values)])}


def normalise(x: np.ndarray, s: dict[str, np.ndarray]) -> np.ndarray:
    """lerobot's QUANTILES: q01..q99 to -1..1, computed in float32."""
    low, high = s["q01"].astype(np.float32), s["q99"].astype(np.float32)
    span = np.where(high == low, np.float32(1e-8), high - low)
    return np.float32(2.0) * (x.astype(np.float32) - low) / span - np.float32(1.0)


def denormalise(x: np.ndarray, s: dict[str, np.ndarray]) -> np.ndarray:
    low, high = s["q01"].astype(np.float32), s["q99"].astype(np.float32)
    span = np.where(high == low, np.float32(1e-8), high - low)
    return (x.astype(np.float32) + np.float32(1.0)) * span / np.float32(2.0) + low


@dataclass
class Dataset:
    images: torch.Tensor  # [N, V, S, S, 3] uint8
    tokens: torch.Tensor  # [N, phrasings, L]
    lengths: torch.Tensor  # [N, phrasings]
    actions: torch.Tensor  # [N, C, A] normalised and padded
    places: torch.Tensor  # [N, 6] standardised, target of the auxiliary loss
    states: torch.Tensor  # [N, 4] normalised
    tasks: list[str]

    def __len__(self) -> int:
        return len(self.images)


def read(folders: list[Path]) -> tuple[list[str], dict[str, np.ndarray]]:
    """All episodes of the folders, concatenated, and the task of each moment."""
    files = sorted(f for folder in folders for f in folder.glob("*.npz"))
    if not files:
        raise FileNotFoundError(f"no demonstrations in {', '.join(map(str, folders))}: run collect.py first")

    def load(path: Path) -> dict[str, np.ndarray]:
        with np.load(path, allow_pickle=False) as z:
            return {k: z[k] for k in z.files}

    with ThreadPoolExecutor(8) as pool:
        episodes = list(pool.map(load, files))
    # File names are <kind>-<task>-<seed>.npz and tasks contain dashes.
    tasks = [t for f, e in zip(files, episodes) for t in [f.stem.split("-", 1)[1].rsplit("-", 1)[0]] * len(e["states"])]
    return tasks, {k: np.concatenate([e[k] for e in episodes]) for k in episodes[0]}


def build(folders: list[Path], tokenizer: Tokenizer, stats: Stats | None, action_dim: int, length: int,
          device: str) -> tuple[Dataset, Stats]:
    """Reads the folders; computes the statistics unless they are given (fine-tuning keeps the first ones)."""
    tasks, raw = read(folders)
    if stats is None:
        stats = {"observation.state": statistics(raw["states"]), "action": statistics(raw["actions"].reshape(-1, 4)),
                 "places": statistics(raw["places"])}
    states = normalise(raw["states"], stats["observation.state"])
    actions = np.zeros((*raw["actions"].shape[:2], action_dim), dtype=np.float32)
    actions[..., :4] = normalise(raw["actions"], stats["action"])
    rng = np.random.default_rng(0)
    phrasings = max(len(p) for p in PARAPHRASES.values())
    tokens = np.zeros((len(states), phrasings, length), dtype=np.int16)
    lengths = np.zeros((len(states), phrasings), dtype=np.int16)
    # Some state noise in the prompt: the hand is also visible, and bins one apart should mean nearly the same.
    jitter = rng.normal(size=(len(states), phrasings, states.shape[1])).astype(np.float32) * 0.01
    for i, task in enumerate(tasks):
        for j, text in enumerate(PARAPHRASES[task]):
            ids = tokenizer.encode(text, states[i] + jitter[i, j])
            tokens[i, j, :len(ids)] = ids
            lengths[i, j] = len(ids)
    place = stats["places"]
    places = (raw["places"] - place["mean"]) / (place["std"] + 1e-3)

    def put(x: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(x)).to(device)

    return Dataset(put(raw["images"]), put(tokens), put(lengths), put(actions), put(places.astype(np.float32)),
                   put(states), tasks), stats
