# SPDX-License-Identifier: Apache-2.0
"""A policy that does not fit the environment, or lacks its statistics, is refused with the reason."""

import json
import pathlib
import shutil

import numpy as np
import pytest

from flash_rt.eval.__main__ import main
from flash_rt.eval.card import PolicyMismatch, check_interface, read_card
from flash_rt.eval.environment import Interface, Observation
from flash_rt.eval.policies import ordered_images

SHIPPED = pathlib.Path(__file__).resolve().parents[2] / "checkpoints/metaworld"
METAWORLD = Interface(cameras=("front", "wrist"), state_dim=4, action_dim=4)
STATISTICS = "policy_preprocessor_step_3_normalizer_processor.safetensors"


@pytest.fixture
def policy(tmp_path):
    """A copy of the shipped policy without its weights, to be damaged."""
    folder = tmp_path / "policy"
    shutil.copytree(SHIPPED, folder, ignore=shutil.ignore_patterns("model.safetensors"))
    return folder


def change(path, edit):
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


def test_shipped_policy_fits():
    card = read_card(SHIPPED)
    check_interface(card, METAWORLD, "metaworld")
    assert (card.horizon, card.execute, card.steps, card.model_action_dim) == (16, 8, 10, 8)


def test_swapped_cameras(policy):
    def swap(config):
        f = config["input_features"]
        config["input_features"] = {k: f[k] for k in (
            "observation.images.wrist", "observation.images.front", "observation.state")}

    change(policy / "config.json", swap)
    with pytest.raises(PolicyMismatch, match="swapped"):
        check_interface(read_card(policy), METAWORLD, "metaworld")


def test_other_cameras(policy):
    with pytest.raises(PolicyMismatch, match="rename them"):
        check_interface(read_card(policy), Interface(("image", "image2"), 4, 4), "libero")


@pytest.mark.parametrize("interface, text", [
    (Interface(("front", "wrist"), 8, 4), "state of 4 numbers, other gives 8"),
    (Interface(("front", "wrist"), 4, 7), "gives 4 numbers an action, other takes 7"),
])
def test_other_widths(interface, text):
    with pytest.raises(PolicyMismatch, match=text):
        check_interface(read_card(SHIPPED), interface, "other")


def test_missing_statistics_file(policy):
    (policy / STATISTICS).unlink()
    with pytest.raises(PolicyMismatch, match="is missing.*statistics of observation.state"):
        read_card(policy)


def test_cut_statistics_file(policy):
    (policy / STATISTICS).write_bytes((SHIPPED / STATISTICS).read_bytes()[:100])
    with pytest.raises(PolicyMismatch, match="cut off"):
        read_card(policy)


def test_missing_statistic(policy):
    raw = (policy / STATISTICS).read_bytes()
    assert b'"observation.state.q01"' in raw
    (policy / STATISTICS).write_bytes(raw.replace(b'"observation.state.q01"', b'"observation.state.q02"'))
    with pytest.raises(PolicyMismatch, match="observation.state.q01 is missing"):
        read_card(policy)


def test_statistics_of_another_width(policy):
    change(policy / "config.json", lambda c: c["output_features"]["action"].update(shape=[7]))
    with pytest.raises(PolicyMismatch, match=r"action.q01 has the shape \[4\].*wanted \[7\]"):
        read_card(policy)


@pytest.mark.parametrize("name", ["policy_preprocessor.json", "policy_postprocessor.json"])
def test_missing_processor(policy, name):
    (policy / name).unlink()
    with pytest.raises(PolicyMismatch, match=name):
        read_card(policy)


def test_no_policy_and_another_type(tmp_path, policy):
    with pytest.raises(PolicyMismatch, match="no config.json"):
        read_card(tmp_path)
    change(policy / "config.json", lambda c: c.update(type="act"))
    with pytest.raises(PolicyMismatch, match="'act'"):
        read_card(policy)


def test_execute_within_the_chunk(policy):
    change(policy / "config.json", lambda c: c.update(n_action_steps=17))
    with pytest.raises(PolicyMismatch, match="n_action_steps is 17"):
        check_interface(read_card(policy), METAWORLD, "metaworld")


def test_command_refuses_with_status_2(policy, capsys):
    (policy / STATISTICS).unlink()
    assert main(["compare", "--policy", str(policy)]) == 2
    assert "statistics" in capsys.readouterr().err


def test_pictures_are_taken_by_name():
    a, b = np.zeros((2, 2, 3), np.uint8), np.ones((2, 2, 3), np.uint8)
    card = read_card(SHIPPED)
    assert ordered_images(card, Observation({"wrist": b, "front": a}, np.zeros(4), ""))[0] is a
    with pytest.raises(KeyError, match="wants"):
        ordered_images(card, Observation({"top": b, "front": a}, np.zeros(4), ""))
