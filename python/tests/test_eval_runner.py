# SPDX-License-Identifier: Apache-2.0
"""The closed loop on an environment of one line: who is asked when, and when an episode ends."""

import pathlib
from types import SimpleNamespace

import numpy as np
import pytest

from flash_rt.eval import compare
from flash_rt.eval.card import Card
from flash_rt.eval.environment import Interface, Observation
from flash_rt.eval.policies import Blind, chunk_noise
from flash_rt.eval.runner import run_episode

CARD = Card(pathlib.Path("."), ("eye",), 1, 1, 2, 4, 3, 10)


class Line:
    """Reach position 5 from 0; the picture shows the position."""

    interface = Interface(("eye",), 1, 1)
    max_steps = 20
    fps = 10.0

    def reset(self, seed):
        self.at, self.looked = 0.0, 0
        return self.observe()

    def observe(self):
        self.looked += 1
        return Observation({"eye": np.full((4, 4, 3), int(self.at), np.uint8)}, np.array([self.at], np.float32), "go")

    def step(self, action):
        self.at += float(action[0])
        return self.at >= 5.0

    def frame(self):
        return np.full((4, 4, 3), int(self.at), np.uint8)


def policy(speed, asked):
    def predict(observation, noise):
        asked.append((float(observation.state[0]), noise))
        return np.full((4, 1), speed, np.float32)

    return SimpleNamespace(card=CARD, predict=predict)


def test_success_ends_the_episode_inside_a_chunk():
    asked, env = [], Line()
    result = run_episode(env, "line", policy(1.0, asked), seed=7, execute=3)
    assert (result.success, result.steps, len(result.chunk_ms)) == (True, 5, 2)
    assert [a for a, _ in asked] == [0.0, 3.0] and env.looked == 2


@pytest.mark.parametrize("limit, steps", [(None, 20), (7, 7)])
def test_limit_ends_the_episode(limit, steps):
    result = run_episode(Line(), "line", policy(0.0, []), seed=0, execute=3, max_steps=limit)
    assert (result.success, result.steps, len(result.chunk_ms)) == (False, steps, -(-steps // 3))


def test_frames_cover_the_whole_episode():
    result = run_episode(Line(), "line", policy(1.0, []), seed=0, execute=3, frame_every=2)
    assert [int(f[0, 0, 0]) for f in result.frames] == [0, 2, 4, 5]


def test_noise_is_the_episodes_and_the_chunks_own():
    first, second = [], []
    run_episode(Line(), "line", policy(1.0, first), seed=3, execute=3)
    run_episode(Line(), "line", policy(1.0, second), seed=3, execute=3)
    assert all(np.array_equal(a, b) for (_, a), (_, b) in zip(first, second))
    assert not np.array_equal(first[0][1], first[1][1])
    assert chunk_noise(CARD, 3, 0).shape == (4, 2)
    assert not np.array_equal(chunk_noise(CARD, 3, 0), chunk_noise(CARD, 4, 0))


def test_blind_hides_the_pictures_only():
    told = []
    seeing = SimpleNamespace(card=CARD, name="p", predict=lambda o, n: told.append(o) or np.ones((4, 1), np.float32))
    assert run_episode(Line(), "line", Blind(seeing), seed=0, execute=3).success
    assert all((o.images["eye"] == 128).all() for o in told) and [float(o.state[0]) for o in told] == [0.0, 3.0]


def test_recording_round_trip(tmp_path):
    seen = []
    run_episode(Line(), "line", policy(1.0, []), seed=0, execute=3, seen=lambda o, n: seen.append((o, n)))
    compare.Recording.of(seen, ("eye",)).save(tmp_path / "r.npz")
    back = compare.Recording.load(tmp_path / "r.npz")
    assert len(back) == 2 and back.prompts == ["go", "go"]
    observation, noise = back[1]
    assert np.array_equal(observation.images["eye"], seen[1][0].images["eye"]) and np.array_equal(noise, seen[1][1])
    with pytest.raises(IndexError):
        back[2]


def test_errors_between_chunks():
    rng = np.random.default_rng(0)
    reference = rng.normal(size=(5, 4, 3))
    same = compare.error(reference, reference)
    assert same["relative_l2"] == 0.0 and same["cosine"] == pytest.approx(1.0) and same["max_abs_per_dim"] == [0, 0, 0]
    scaled = compare.error(reference * 1.01, reference)  # what cosine alone would hide
    assert scaled["cosine"] == pytest.approx(1.0) and scaled["relative_l2"] == pytest.approx(0.01)
    one = reference.copy()
    one[2, 1, 0] *= -1.0
    flipped = compare.error(one, reference)
    assert flipped["max_abs_per_dim"][0] == pytest.approx(2 * abs(reference[2, 1, 0]))
    assert flipped["cosine_worst"] < flipped["cosine"]


def test_verdict():
    good = {"relative_l2": 1e-6, "cosine": 1.0}
    assert all(compare.verdict(p, good) is None for p in compare.BOUNDS)
    assert "above" in compare.verdict("f32", {"relative_l2": 2e-4, "cosine": 1.0})
    assert "below" in compare.verdict("bf16", {"relative_l2": 0.1, "cosine": 0.999})
    assert compare.verdict("int8", {"relative_l2": 0.1, "cosine": 0.9992}) is None
    assert "finite" in compare.verdict("int8", {"relative_l2": float("nan"), "cosine": float("nan")})
