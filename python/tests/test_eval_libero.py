# SPDX-License-Identifier: Apache-2.0
"""LIBERO's conventions on an observation dictionary of the simulator's form; no simulator is needed."""

import numpy as np
import pytest

Image = pytest.importorskip("PIL.Image", reason="the adapter resizes with Pillow")

from flash_rt.eval.libero import Libero, axis_angle, resize_with_pad, to_observation  # noqa: E402

HALF = np.sqrt(0.5)


@pytest.fixture
def raw():
    """A dictionary as LIBERO's OffScreenRenderEnv returns it, with pictures whose corners can be told apart."""
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 60, size=(2, 256, 256, 3), dtype=np.uint8)
    pictures[0, :64, :64] = (250, 0, 0)
    pictures[1, :64, -64:] = (0, 250, 0)
    return {"agentview_image": pictures[0], "robot0_eye_in_hand_image": pictures[1],
            "robot0_eef_pos": np.array([0.1, -0.2, 0.9]), "robot0_eef_quat": np.array([0.0, 0.0, HALF, HALF]),
            "robot0_gripper_qpos": np.array([0.02, -0.02]), "robot0_joint_pos": np.zeros(7)}


def test_pictures_are_rotated_and_resized(raw):
    images = to_observation(raw, "open the drawer").images
    assert list(images) == ["image", "image2"] == list(Libero.interface.cameras)
    assert all(v.shape == (224, 224, 3) and v.dtype == np.uint8 for v in images.values())
    assert images["image"][-20:, -20:].mean(axis=(0, 1)) == pytest.approx([250, 0, 0], abs=1)  # was top left
    assert images["image2"][-20:, :20].mean(axis=(0, 1)) == pytest.approx([0, 250, 0], abs=1)  # was top right
    wanted = Image.fromarray(np.ascontiguousarray(raw["agentview_image"][::-1, ::-1])).resize((224, 224), 2)
    assert np.array_equal(images["image"], np.asarray(wanted))


def test_state_is_position_axis_angle_and_fingers(raw):
    seen = to_observation(raw, "open the drawer")
    assert seen.prompt == "open the drawer" and seen.state.dtype == np.float32
    assert seen.state == pytest.approx([0.1, -0.2, 0.9, 0.0, 0.0, np.pi / 2, 0.02, -0.02], abs=1e-6)
    assert len(seen.state) == Libero.interface.state_dim


@pytest.mark.parametrize("quaternion, wanted", [
    ([0, 0, 0, 1], [0, 0, 0]), ([0, 0, 0, -1], [0, 0, 0]), ([1, 0, 0, 0], [np.pi, 0, 0]),
    ([0, -HALF, 0, HALF], [0, -np.pi / 2, 0]), ([0, 0, 0, 1.0000001], [0, 0, 0]),
    ([HALF, 0, 0, -HALF], [1.5 * np.pi, 0, 0]),  # robosuite's rule: not brought back below pi
])
def test_axis_angle(quaternion, wanted):
    assert axis_angle(np.array(quaternion, dtype=np.float64)) == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize("shape, box", [((480, 640), (0, 28, 224, 196)), ((640, 480), (28, 0, 196, 224)),
                                        ((720, 1280), (0, 49, 224, 175)), ((100, 100), (0, 0, 224, 224))])
def test_resize_keeps_the_aspect_ratio(shape, box):
    out = resize_with_pad(np.full((*shape, 3), 200, dtype=np.uint8), 224)
    left, top, right, bottom = box
    inside = np.zeros((224, 224), dtype=bool)
    inside[top:bottom, left:right] = True
    assert (out[inside] == 200).all() and (out[~inside] == 0).all()


def test_right_size_is_left_alone():
    picture = np.arange(224 * 224 * 3, dtype=np.uint32).astype(np.uint8).reshape(224, 224, 3)
    assert resize_with_pad(picture, 224) is picture


def test_missing_camera_is_named(raw):
    del raw["robot0_eye_in_hand_image"]
    with pytest.raises(KeyError, match="robot0_eye_in_hand_image"):
        to_observation(raw, "")


@pytest.mark.parametrize("task", ["libero_spatial", "spatial/0", "libero_spatial/x"])
def test_unknown_tasks_are_refused(task):
    with pytest.raises(ValueError, match="libero_spatial/0"):
        Libero(task)
