# SPDX-License-Identifier: Apache-2.0
"""The shipped policy through the engine, on one recorded Meta-World observation a task, against the training code's actions."""

import pathlib

import numpy as np
import pytest

from flash_rt.eval import compare
from flash_rt.eval.card import check_interface, read_card
from flash_rt.eval.environment import Interface
from flash_rt.eval.policies import EnginePolicy

ROOT = pathlib.Path(__file__).resolve().parents[2]
RECORDED = pathlib.Path(__file__).parent / "data/metaworld_observations.npz"


@pytest.fixture(scope="module")
def recorded():
    recording = compare.Recording.load(RECORDED)
    with np.load(RECORDED, allow_pickle=False) as z:
        return recording, z["actions"]


@pytest.mark.parametrize("precision", list(compare.BOUNDS))
def test_engine_acts_like_the_reference(recorded, precision):
    recording, wanted = recorded
    card = read_card(ROOT / "checkpoints/metaworld")
    check_interface(card, Interface(recording.cameras, recording.states.shape[1], wanted.shape[2]), "the recording")
    policy = EnginePolicy(card, precision, threads=1)
    actions = np.stack([policy.predict(observation, noise) for observation, noise in recording])
    result = compare.error(actions, wanted)
    assert compare.verdict(precision, result) is None, result
    # Cosine hides a gripper that opens instead of closing: no single number may be far off.
    assert max(result["max_abs_per_dim"]) < {"f32": 1e-3, "bf16": 0.25, "int8": 0.25}[precision], result


def test_cameras_in_the_wrong_order_act_otherwise(recorded):
    """Shows that the order matters, hence that refusing a swap is not for nothing."""
    recording, wanted = recorded
    swapped = compare.Recording(recording.cameras, recording.images[:, ::-1], recording.states, recording.prompts,
                                recording.noise)
    policy = EnginePolicy(read_card(ROOT / "checkpoints/metaworld"), "f32", threads=1)
    actions = np.stack([policy.predict(observation, noise) for observation, noise in swapped])
    assert compare.error(actions, wanted)["relative_l2"] > 0.1
