# SPDX-License-Identifier: Apache-2.0
"""The Meta-World adapter on the real simulator: what a seed fixes, what a policy sees, and one task done."""

import pathlib

import numpy as np
import pytest

from flash_rt.eval.card import check_interface, read_card
from flash_rt.eval.environment import Unavailable
from flash_rt.eval.policies import EnginePolicy
from flash_rt.eval.runner import run_episode

try:
    from flash_rt.eval.metaworld import TASKS, MetaWorld
except Unavailable as error:
    pytest.skip(str(error), allow_module_level=True)

SHIPPED = pathlib.Path(__file__).resolve().parents[2] / "checkpoints/metaworld"


@pytest.fixture(scope="module")
def reach():
    env = MetaWorld("reach")
    yield env
    env.close()


def same(a, b):
    return np.array_equal(a.state, b.state) and all(np.array_equal(a.images[n], b.images[n]) for n in a.images)


def test_a_seed_names_an_episode(reach):
    first = reach.reset(3)
    for _ in range(5):
        reach.step(np.ones(4))
    assert not same(reach.observe(), first)
    other = reach.reset(4)
    assert same(reach.reset(3), first) and not same(other, first)
    assert list(first.images) == list(reach.interface.cameras) and first.state.shape == (4,)
    assert all(p.shape == (112, 112, 3) and p.dtype == np.uint8 and p.std() > 5 for p in first.images.values())


def test_actions_move_the_hand_along_their_axes(reach):
    for axis in range(3):
        before = reach.reset(0).state.copy()
        action = np.zeros(4)
        action[axis] = 5.0  # beyond the limits: the same as 1
        for _ in range(4):
            reach.step(action)
        moved = reach.observe().state[:3] - before[:3]
        assert np.argmax(np.abs(moved)) == axis and moved[axis] > 0.005


def test_the_shipped_policy_does_a_task(reach):
    card = read_card(SHIPPED)
    check_interface(card, MetaWorld.interface, "metaworld")
    result = run_episode(reach, "reach", EnginePolicy(card, "f32", threads=1), seed=0, execute=card.execute, max_steps=200)
    assert result.success and 10 < result.steps < 200


def test_tasks_are_named():
    assert MetaWorld.all_tasks() == TASKS
    with pytest.raises(ValueError, match="no Meta-World task 'fly' here; choose from: reach"):
        MetaWorld("fly")
