# SPDX-License-Identifier: Apache-2.0
"""`python -m flash_rt.eval` as its users meet it: wrong options, wrong files and missing packages end in one clear line."""

import importlib.metadata
import json
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest

from flash_rt.eval import commands, compare, environment
from flash_rt.eval.__main__ import main, parse
from flash_rt.eval.environment import Interface, Observation

ROOT = pathlib.Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "checkpoints/metaworld"
RECORDED = pathlib.Path(__file__).parent / "data/metaworld_observations.npz"


class Still:
    """Has Meta-World's interface, and a task that no action ends."""

    interface = Interface(cameras=("front", "wrist"), state_dim=4, action_dim=4)
    fps, max_steps = 80.0, 20
    steps = 0

    @classmethod
    def all_tasks(cls):
        return {"wait": "open the door"}

    def __init__(self, task):
        self.task = task

    def reset(self, seed):
        return self.observe()

    def observe(self):
        pictures = {name: np.full((112, 112, 3), 90, np.uint8) for name in self.interface.cameras}
        return Observation(pictures, np.zeros(4, np.float32), "open the door")

    def step(self, action):
        assert action.shape == (4,)
        Still.steps += 1
        return False

    def frame(self):
        return np.zeros((112, 112, 3), np.uint8)

    def close(self):
        pass


@pytest.fixture
def simulator(monkeypatch):
    monkeypatch.setattr(commands, "adapter", lambda name: Still)
    Still.steps = 0
    return Still


@pytest.fixture
def policy(tmp_path):
    """A copy of the shipped policy, to be damaged."""
    return pathlib.Path(shutil.copytree(SHIPPED, tmp_path / "policy"))


def run(*arguments, policy=SHIPPED):
    command, *options = map(str, arguments)
    return main([command, "--policy", str(policy), "--threads", "1", *options])


def test_an_evaluation_writes_its_report_and_pictures(simulator, tmp_path, capsys):
    assert run("metaworld", "--episodes", 2, "--execute", 5, "--max-steps", 12, "--out", tmp_path / "out") == 0
    assert simulator.steps == 24 and "0/2" in capsys.readouterr().out
    result = json.loads((tmp_path / "out/report.json").read_text())["runs"]["flashrt f32"]
    assert [(e["seed"], e["success"], e["steps"], e["chunks"]) for e in result["episodes"]] == [
        (0, False, 12, 3), (1, False, 12, 3)]
    assert (tmp_path / "out/wait.gif").is_file() and (tmp_path / "out/contact_sheet.png").is_file()


@pytest.mark.parametrize("options, text", [
    (["--execute", "-16"], "--execute: '-16' is not a whole number from 0"),
    (["--episodes", "0"], "--episodes: '0' is not a whole number from 1"),
    (["--max-steps", "-1"], "--max-steps: '-1' is not"),
    (["--first-seed", "-1"], "--first-seed: '-1' is not"),
    (["--threads", "-1"], "--threads: '-1' is not"),
    (["--episodes", "many"], "--episodes: 'many' is not"),
    (["--precision", "int4"], "unknown precision int4"),
    (["--engine", "torch", "--precision", "int8"], "--engine torch runs f32 alone, not int8"),
    (["--engine", "torch", "--precision", "f32,bf16"], "--engine torch runs f32 alone, not f32,bf16"),
])
def test_wrong_options_are_usage_errors(options, text, capsys):
    with pytest.raises(SystemExit) as stopped:
        parse(["metaworld", "--policy", "p", *options])
    assert stopped.value.code == 2 and text in capsys.readouterr().err


def test_counts_of_the_comparison_are_checked(capsys):
    with pytest.raises(SystemExit):
        parse(["compare", "--policy", "p", "--count", "0"])
    assert "--count: '0' is not a whole number from 1" in capsys.readouterr().err


@pytest.mark.parametrize("options, text", [
    (["--execute", "17"], "--execute 17: a chunk of this policy has 16 actions"),
    (["--max-steps", "21"], "an episode of wait has 1 to 20 steps, not 21"),
    (["--tasks", "fly"], "no task fly; it has: wait"),
    (["--threads", "5000"], "5000"),
])
def test_options_beyond_the_policy_or_simulator_are_refused(simulator, tmp_path, capsys, options, text):
    assert run("metaworld", "--out", tmp_path / "out", *options) == 2
    error = capsys.readouterr().err
    assert "error: " in error and text in error and "Traceback" not in error
    assert simulator.steps == 0


def test_a_file_for_the_folder_is_refused(simulator, tmp_path, capsys):
    (tmp_path / "out").write_text("")
    assert run("metaworld", "--out", tmp_path / "out") == 2
    assert "is a file: name a folder" in capsys.readouterr().err


@pytest.mark.parametrize("name, content, text", [
    ("config.json", b"{", "config.json is not JSON"),
    ("config.json", b"\xff\xfe", "config.json is not JSON"),
    ("config.json", b"[]", "config.json holds no JSON object"),
    ("config.json", b'{"type": "pi05", "input_features": []}', "config.json"),
    ("policy_preprocessor.json", b"{", "policy_preprocessor.json is not JSON"),
    ("policy_preprocessor.json", b'{"steps": 5}', "policy_preprocessor.json is not a lerobot processor"),
    ("policy_preprocessor.json", b'{"steps": ["a"]}', "policy_preprocessor.json is not a lerobot processor"),
    ("policy_postprocessor.json", b"{}", "policy_postprocessor.json is not a lerobot processor"),
    ("policy_preprocessor_step_3_normalizer_processor.safetensors", b"\x02" + b"\0" * 7 + b"{]", "is not JSON"),
    ("tokenizer.model", None, "tokenizer"),
    ("model.safetensors", None, "model.safetensors"),
    ("model.safetensors", b"12345678", "model.safetensors"),
])
def test_broken_policies_are_named(simulator, policy, tmp_path, capsys, name, content, text):
    (policy / name).unlink() if content is None else (policy / name).write_bytes(content)
    assert run("metaworld", "--out", tmp_path / "out", policy=policy) == 2
    error = capsys.readouterr().err
    assert "error: " in error and text in error


@pytest.mark.parametrize("key, value", [("chunk_size", 0), ("n_action_steps", "8"), ("max_action_dim", None)])
def test_numbers_of_the_configuration_are_checked(policy, capsys, key, value):
    config = json.loads((policy / "config.json").read_text())
    (policy / "config.json").write_text(json.dumps({**config, key: value}))
    assert run("metaworld", policy=policy) == 2
    assert f"{key} {value!r}" in capsys.readouterr().err


def recording(**changes):
    with np.load(RECORDED) as z:
        content = {k: z[k] for k in ("cameras", "images", "states", "prompts", "noise")}
    return {**content, **changes}


@pytest.mark.parametrize("changes, text", [
    ({"cameras": np.array(["top", "wrist"])}, "wants the cameras"),
    ({"cameras": np.array(["wrist", "front"])}, "swapped"),
    ({"cameras": np.array(["front"])}, "do not fit each other"),
    ({"states": np.zeros((8, 7), np.float32)}, "a state of 4 numbers"),
    ({"states": np.zeros((3, 4), np.float32)}, "do not fit each other"),
    ({"noise": np.zeros((8, 10, 8), np.float32)}, "noise of [10, 8] a chunk, the policy takes [16, 8]"),
])
def test_recordings_that_do_not_fit_are_refused(tmp_path, capsys, changes, text):
    np.savez(tmp_path / "seen.npz", **recording(**changes))
    assert run("compare", "--observations", tmp_path / "seen") == 2
    assert text in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--observations", "--json"])
def test_a_missing_folder_is_found_out_first(simulator, tmp_path, capsys, option):
    assert run("compare", option, tmp_path / "none/file") == 2
    assert f"there is no folder {tmp_path / 'none'}" in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04 cut"])
def test_files_that_are_no_recording_are_refused(tmp_path, capsys, content):
    (tmp_path / "seen.npz").write_bytes(content)
    assert run("compare", "--observations", tmp_path / "seen.npz") == 2
    assert "is not a recording of observations" in capsys.readouterr().err


def test_a_recording_that_was_made_is_read_the_next_time(simulator, monkeypatch, tmp_path):
    class Reference(commands.EnginePolicy):
        def __init__(self, card, threads):
            super().__init__(card, "f32", threads)

    monkeypatch.setattr(commands, "TorchReference", Reference)
    arguments = ["compare", "--observations", tmp_path / "seen", "--count", 3]
    assert run(*arguments) == 0
    assert len(compare.Recording.load(tmp_path / "seen.npz")) == 3 and simulator.steps > 0
    simulator.steps = 0
    assert run(*arguments) == 0
    assert simulator.steps == 0


def without(*modules):
    """Python that cannot import these modules, as a command line."""
    hide = "; ".join(f"sys.modules[{m!r}] = None" for m in modules)
    return [sys.executable, "-c", f"import sys; {hide}; sys.argv[0] = 'eval'; import runpy; "
            "runpy.run_module('flash_rt.eval', run_name='__main__', alter_sys=True)"]


@pytest.mark.parametrize("modules, arguments, status, text", [
    (["tqdm", "PIL", "metaworld"], ["--help"], 0, "compare"),
    (["tqdm"], ["metaworld", "--policy", SHIPPED], 2, "needs the Python package tqdm: pip install '.[eval]'"),
    (["PIL"], ["metaworld", "--policy", SHIPPED], 2, "needs the Python package PIL: pip install '.[eval]'"),
    (["mujoco"], ["metaworld", "--policy", SHIPPED], 2, "Meta-World needs the Python package mujoco: pip install"),
    (["libero"], ["libero", "--policy", SHIPPED], 2, "rename them"),  # the policy is wrong for it, whatever is installed
    (["torch"], ["compare", "--policy", SHIPPED], 2, "needs the Python package torch: pip install -r"),
    (["tqdm"], ["metaworld", "--policy", ROOT], 2, "no config.json"),  # the policy is read before anything else
])
def test_what_is_not_installed_is_named(modules, arguments, status, text):
    done = subprocess.run([*without(*modules), *map(str, arguments)], capture_output=True, text=True, timeout=120, cwd=ROOT)
    assert done.returncode == status, done.stderr
    assert text in done.stdout + done.stderr and "Traceback" not in done.stderr


def test_a_missing_drawing_library_is_named(monkeypatch):
    monkeypatch.setenv("MUJOCO_GL", "osmesa")
    with pytest.raises(environment.Unavailable, match="MUJOCO_GL=osmesa.*glGetError.*apt-get install libosmesa6"):
        with environment.needing("Meta-World", "pip install it", draws=True):
            None.glGetError  # what PyOpenGL does without libOSMesa
    with pytest.raises(AttributeError):
        with environment.needing("the reference", "pip install it"):
            None.glGetError


def test_the_extra_and_the_requirements_file_say_the_same():
    extra = [r.split(";")[0].strip() for r in importlib.metadata.requires("flash-rt") if "extra == 'eval'" in r.replace('"', "'")]
    lines = (ROOT / "python/flash_rt/eval/requirements.txt").read_text().splitlines()
    assert sorted(extra) == sorted(line for line in lines if line and not line.startswith("#"))
