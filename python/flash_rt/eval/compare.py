# SPDX-License-Identifier: Apache-2.0
"""Records observations along closed-loop episodes and compares the engine's actions on them with the reference's."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .environment import Observation

# What each precision must reach against the float32 reference: (largest relative L2, smallest cosine).
BOUNDS = {"f32": (1e-4, 0.9999), "bf16": (None, 0.9995), "int8": (None, 0.999)}


@dataclass
class Recording:
    """Observations with the noise that their chunks start from."""

    cameras: tuple[str, ...]
    images: np.ndarray  # [N, cameras, H, W, 3] uint8
    states: np.ndarray  # [N, state_dim]
    prompts: list[str]
    noise: np.ndarray  # [N, horizon, model_action_dim]

    @classmethod
    def of(cls, seen: Sequence[tuple[Observation, np.ndarray]], cameras: tuple[str, ...]) -> Recording:
        return cls(cameras, np.stack([np.stack([o.images[c] for c in cameras]) for o, _ in seen]),
                   np.stack([o.state for o, _ in seen]), [o.prompt for o, _ in seen], np.stack([n for _, n in seen]))

    def save(self, path: Path) -> None:
        np.savez_compressed(path, cameras=np.array(self.cameras), images=self.images, states=self.states,
                            prompts=np.array(self.prompts), noise=self.noise)

    @classmethod
    def load(cls, path: Path) -> Recording:
        try:
            with np.load(path, allow_pickle=False) as z:
                r = cls(tuple(str(c) for c in z["cameras"]), z["images"], z["states"], [str(p) for p in z["prompts"]],
                        z["noise"])
        except (KeyError, ValueError, TypeError, AttributeError, EOFError, zipfile.BadZipFile) as error:
            raise ValueError(f"{path} is not a recording of observations ({error}): name another file, or one that is not "
                             "there to record it") from error
        counts = {len(r.prompts), *(len(a) for a in (r.images, r.states, r.noise))}
        if (len(counts) != 1 or not len(r) or (r.images.ndim, r.states.ndim, r.noise.ndim) != (5, 2, 3)
                or r.images.shape[1] != len(r.cameras)):
            raise ValueError(f"{path} is not a recording of observations: its arrays do not fit each other")
        return r

    def __len__(self) -> int:
        return len(self.prompts)

    def __getitem__(self, i: int) -> tuple[Observation, np.ndarray]:
        if i >= len(self):
            raise IndexError(i)
        return Observation(dict(zip(self.cameras, self.images[i])), self.states[i], self.prompts[i]), self.noise[i]


def error(actions: np.ndarray, reference: np.ndarray) -> dict:
    """Errors of chunks [N, C, A] against the reference's: over everything, and of the worst observation."""
    a, r = (x.astype(np.float64).reshape(len(x), -1) for x in (actions, reference))
    relative = np.linalg.norm(a - r, axis=1) / np.linalg.norm(r, axis=1)
    cosine = (a * r).sum(1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(r, axis=1))
    return {
        "relative_l2": float(np.linalg.norm(a - r) / np.linalg.norm(r)),
        "relative_l2_worst": float(relative.max()),
        "cosine": float((a * r).sum() / (np.linalg.norm(a) * np.linalg.norm(r))),
        "cosine_worst": float(cosine.min()),
        "max_abs_per_dim": np.abs(actions - reference).max(axis=(0, 1)).astype(float).tolist(),
    }


def verdict(precision: str, result: dict) -> str | None:
    """Why the result is not good enough, or None."""
    relative, cosine = BOUNDS[precision]
    if not all(np.isfinite([result["relative_l2"], result["cosine"]])):
        return f"{precision}: the actions are not finite"
    if relative is not None and result["relative_l2"] > relative:
        return f"{precision}: relative L2 {result['relative_l2']:.2e} is above {relative:.0e}"
    if result["cosine"] < cosine:
        return f"{precision}: cosine {result['cosine']:.6f} is below {cosine}"
    return None
