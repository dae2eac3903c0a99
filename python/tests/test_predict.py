# SPDX-License-Identifier: Apache-2.0
"""The binding against the goldens of two independent implementations, and what it takes as inputs."""

import json
import shutil
import subprocess
import sys
import threading
import time

import golden
import numpy as np
import pytest

import flash_rt
from flash_rt import _inputs

LEROBOT, OPENPI = golden.cases("lerobot_tiny"), golden.cases("openpi_tiny")


def load(case, **options):
    if case.layout == "openpi_tiny":
        options = {"tokenizer": golden.TOKENIZER, "state_in_prompt": case.state_in_prompt,
                   "state_dim": len(case.state), **options}
    return flash_rt.load_model(case.folder, **{"threads": 1, "pin": False, "num_steps": case.num_steps,
                                               "precision": "f32", **options})


def ask(model, case, **changes):
    """predict() for a golden case; its prompt is given as text, but for the one that is too long for the model."""
    arguments = {"images": case.images, "prompt": case.prompt, "state": case.state, "noise": case.noise, **changes}
    if case.name == "prompt_cut_at_the_limit":
        arguments.update(prompt=None, tokens=case.token_ids)
    return model.predict(**arguments)


@pytest.fixture(scope="module")
def native():
    """One model and its case, shared by the tests that do not load one in their own way."""
    case = LEROBOT[0]
    with load(case) as model:
        yield model, case


@pytest.mark.parametrize("case", LEROBOT + OPENPI, ids=repr)
def test_f32_actions_are_those_of_the_independent_implementation(case):
    with load(case) as model:
        actions = ask(model, case)
    assert actions.dtype == np.float32 and actions.shape == case.actions.shape
    assert golden.relative_l2(actions, case.actions) <= 1e-5
    scale = np.abs(case.actions).max(axis=0)
    assert np.all(np.abs(actions - case.actions).max(axis=0) <= 2e-5 * np.maximum(scale, 1e-3))


@pytest.mark.parametrize("precision, cosine", [("bf16", 0.9999), ("int8", 0.999)])
def test_lower_precisions_stay_near(precision, cosine):
    case = LEROBOT[0]
    with load(case, precision=precision) as model:
        got = model.infer({**case.images, "prompt": case.prompt, "state": case.state}, noise=case.noise)
    a, b = got["actions_normalized"].ravel().astype(float), case.actions_normalized.ravel().astype(float)
    assert a @ b / np.sqrt((a @ a) * (b @ b)) >= cosine


def test_relative_actions_are_added_to_the_state():
    case = OPENPI[0]
    relative = [i for i, on in enumerate(case.relative) if on]
    with load(case, relative_dims=relative) as model:
        assert golden.relative_l2(ask(model, case), case.actions_absolute) <= 1e-5


def test_tokens_are_those_of_the_independent_implementation(native):
    model, case = native
    assert model.tokens(case.prompt, case.state) == case.token_ids
    assert model.warm_state_prompt_buckets([], case.prompt, [case.state]) == [len(case.token_ids)]


def test_a_prompt_beyond_the_limit_is_refused_or_cut_as_upstream(native):
    model, _ = native
    case = next(c for c in LEROBOT if c.name == "prompt_cut_at_the_limit")
    try:
        assert model.tokens(case.prompt, case.state) == case.token_ids
    except flash_rt.Error as error:
        assert "at most 72" in str(error)


def test_every_way_to_name_cameras_means_the_same(native):
    model, case = native
    wanted = ask(model, case)
    base, wrist = case.images["base"], case.images["wrist"]
    cameras = model.info["cameras"]
    ways = [
        [base, wrist],
        (base, wrist),
        {cameras[0]: base, cameras[1]: wrist},
        {"wrist_image": wrist, "image": base},
        {"observation/image": base, "observation/wrist_image": wrist},
        {"images": [base, wrist]},
        {"images": {"base": base, "wrist": wrist}},
    ]
    for images in ways:
        assert np.array_equal(ask(model, case, images=images), wanted)
    missing = [[base], [base, None], {"base": base}, {"base": base, "wrist": None}]
    results = [ask(model, case, images=images) for images in missing]
    assert not np.array_equal(results[0], wanted)
    assert all(np.array_equal(r, results[0]) for r in results)


def places(images, cameras, renamed=None):
    """Which key each camera's picture came from: pictures are told apart by their first pixel."""
    made = {key: np.full((4, 4, 3), i, np.uint8) for i, key in enumerate(images)}
    return [None if p is None else list(images)[p[0, 0, 0]] for p in _inputs.as_pictures(made, cameras, renamed or {})]


def test_the_robots_own_camera_names_are_taken():
    cameras = ["observation.images.base_0_rgb", "observation.images.left_wrist_0_rgb"]
    renamed = {"observation.images.hand": cameras[1], "observation.images.top": cameras[0], "observation.pose": "state"}
    for hand, top in (("observation.images.hand", "observation.images.top"), ("hand", "top"),
                      ("observation/hand", "base_0_rgb")):
        assert places([hand, top], cameras, renamed) == [top, hand]
    with pytest.raises(flash_rt.Error, match="no camera is called 'pose'"):
        places(["pose"], cameras, renamed)
    # A name that is one camera for the robot and another one for the policy.
    swapped = {cameras[0]: cameras[1], cameras[1]: cameras[0]}
    with pytest.raises(flash_rt.Error, match="may mean each of .*base_0_rgb, .*left_wrist_0_rgb; give .* a list"):
        places([cameras[0]], cameras, swapped)


def test_renamed_cameras_are_facts_of_the_model(native, tmp_path):
    assert native[0].info["renamed_observations"] == {}
    folder = tmp_path / "renamed"
    shutil.copytree(LEROBOT[0].folder, folder)
    steps = json.loads((folder / "policy_preprocessor.json").read_text())
    steps["steps"][0]["config"]["rename_map"] = {"observation.images.top": "observation.images.base"}
    (folder / "policy_preprocessor.json").write_text(json.dumps(steps))
    with flash_rt.load_model(folder, threads=1, pin=False) as model:
        assert model.info["renamed_observations"] == {"observation.images.top": "observation.images.base"}


def test_role_names_do_not_swap_cameras():
    roles = ["image", "wrist_image"]
    assert places(roles, ["base", "wrist"]) == roles
    assert places(roles, ["front", "gripper"]) == roles
    three = ["base_0_rgb", "left_wrist_0_rgb", "right_wrist_0_rgb"]
    assert places([*roles, "wrist_image_right"], three) == [*roles, "wrist_image_right"]
    for key in ("image", "wrist_image", "observation/image", "observation/wrist_image"):
        with pytest.raises(flash_rt.Error, match=f"'{key}' would be camera .*: eye_in_hand_wrist, front"):
            places([key], ["eye_in_hand_wrist", "front"])


class Exporter:
    """What torch and others give: memory reached through DLPack alone."""

    def __init__(self, array):
        self.array = array

    def __dlpack__(self, **arguments):
        return self.array.__dlpack__(**arguments)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


def test_pictures_come_in_any_memory(native):
    model, case = native
    wanted = ask(model, case)
    base, wrist = (np.array(image) for image in case.images.values())
    channels_first = np.ascontiguousarray(base.transpose(2, 0, 1))
    padded = np.zeros((28, 40, 3), np.uint8)
    padded[:, 5:33] = base
    # 255 * (x / 255) must not fall below x, since fractions are dropped.
    floats = ((base + 0.25) / 255).clip(0, 1).astype(np.float32)
    for picture in [Exporter(base), channels_first, Exporter(channels_first), padded[:, 5:33], base[::-1][::-1], floats]:
        assert np.array_equal(ask(model, case, images=[picture, wrist]), wanted)
    for state in [list(map(float, case.state)), case.state.astype(np.float64), Exporter(np.array(case.state))]:
        assert np.array_equal(ask(model, case, state=state), wanted)


def test_prompt_and_state_change_between_calls(native):
    model, case = native
    first = ask(model, case)
    assert model.prompt == case.prompt
    assert np.array_equal(ask(model, case, prompt=None), first)
    assert not np.array_equal(ask(model, case, prompt="do something else"), first)
    assert not np.array_equal(ask(model, case, state=case.state + 0.3), first)
    model.set_prompt(case.prompt)
    assert np.array_equal(ask(model, case, prompt=None), first)


def test_a_failed_call_leaves_the_model_as_it_was(native):
    model, case = native
    wanted = ask(model, case)
    with pytest.raises(flash_rt.Error):
        ask(model, case, prompt="another prompt", state=[float("nan")] * 6)
    assert model.prompt == case.prompt
    assert np.array_equal(ask(model, case, prompt=None), wanted)


def test_seeds(native):
    model, case = native
    arguments = {"images": case.images, "prompt": case.prompt, "state": case.state}
    one, again, other = (model.predict(**arguments, seed=s) for s in (1, 1, 2))
    assert np.array_equal(one, again) and not np.array_equal(one, other)
    drawn = [model.predict(**arguments) for _ in range(2)]
    assert not np.array_equal(*drawn)


def test_infer_gives_the_normalised_chunk_and_times(native):
    model, case = native
    got = model.infer({**case.images, "prompt": case.prompt, "observation/state": case.state}, noise=case.noise)
    assert golden.relative_l2(got["actions_normalized"], case.actions_normalized) <= 1e-5
    assert np.array_equal(got["actions"], ask(model, case))
    assert 0 < got["policy_timing"]["replay_ms"] <= got["policy_timing"]["infer_ms"]


def test_results_do_not_share_memory(native):
    model, case = native
    first = ask(model, case)
    kept = first.copy()
    ask(model, case, prompt="do something else")
    assert np.array_equal(first, kept)
    first[:] = 0  # the caller's own


def test_latency_statistics(native):
    model, case = native
    model.reset_latency_stats()
    assert model.get_latency_stats()["count"] == 0
    for _ in range(3):
        ask(model, case)
    stats = model.get_latency_stats()
    assert stats["count"] == 3
    assert 0 < stats["min_ms"] <= stats["p50_ms"] <= stats["p95_ms"] <= stats["p99_ms"] <= stats["max_ms"]


def test_two_models_live_side_by_side():
    one, two = LEROBOT[0], OPENPI[0]
    with load(one) as a, load(two) as b:
        for _ in range(2):
            assert golden.relative_l2(ask(a, one), one.actions) <= 1e-5
            assert golden.relative_l2(ask(b, two), two.actions) <= 1e-5


def test_several_threads_may_use_one_model(native):
    model, case = native
    prompts = [case.prompt, "do something else"]
    wanted = [ask(model, case, prompt=p) for p in prompts]
    wrong = []

    def work(i):
        for _ in range(20):
            if not np.array_equal(ask(model, case, prompt=prompts[i]), wanted[i]):
                wrong.append(i)

    threads = [threading.Thread(target=work, args=(i % 2,)) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


def test_two_models_in_two_threads():
    """Each thread is inside its call when the other one starts: both must come out right."""
    pair = [LEROBOT[0], OPENPI[0]]
    errors = {}

    def work(case):
        with load(case) as model:
            together.wait()
            errors[case] = max(golden.relative_l2(ask(model, case), case.actions) for _ in range(20))

    together = threading.Barrier(len(pair))
    threads = [threading.Thread(target=work, args=(case,)) for case in pair]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(errors) == 2 and max(errors.values()) <= 1e-5


def test_the_interpreter_runs_on_during_a_call():
    """A call of many flow steps takes long; meanwhile another Python thread must get its turn, again and again."""
    case = LEROBOT[0]
    with load(case, num_steps=1000) as model:
        inside, turns = threading.Event(), []

        def call():
            inside.set()
            ask(model, case)
            turns.append(None)

        # Without the GIL given back, this thread would wait out the whole call at its first turn.
        interval = sys.getswitchinterval()
        thread = threading.Thread(target=call)
        thread.start()
        inside.wait()
        while turns[-1:] != [None]:
            turns.append(time.perf_counter())
            time.sleep(interval / 10)
        thread.join()
        during = [t for t in turns if t is not None]
    assert len(during) >= 5


def test_closing():
    case = LEROBOT[0]
    model = load(case)
    assert "lerobot_tiny" in repr(model) and "closed" not in repr(model)
    model.close()
    model.close()
    assert "closed" in repr(model)
    with pytest.raises(flash_rt.Error, match="closed"):
        ask(model, case)


def test_facts(native):
    model, _ = native
    info = model.info
    assert info["cameras"] == ["observation.images.base", "observation.images.wrist"]
    assert (info["horizon"], info["action_dim"], info["model_action_dim"], info["state_dim"]) == (5, 7, 8, 6)
    assert info["threads"] == 1 and info["num_steps"] == 3 and info["parameters"] > 0
    assert model.framework == "torch"
    assert model.precision_spec == {"weights": "f32", "keep": {}}
    assert flash_rt.__version__ == "0.1.0"


def test_precision_spec_names_exceptions():
    with load(LEROBOT[0], precision="int8", keep={"vision": "bf16"}) as model:
        spec = model.precision_spec
        again = model.precision
    with load(LEROBOT[0], precision=again) as model:
        assert model.precision_spec == spec
    assert spec["weights"] == "int8" and spec["keep"] == {"vision": "bf16"}
    assert "per token" in spec["int8"]["activations"]


def test_importing_needs_numpy_alone():
    code = "import sys, flash_rt; print(sorted(m for m in ('torch', 'jax', 'PIL', 'safetensors') if m in sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert result.stdout.strip() == "[]"
