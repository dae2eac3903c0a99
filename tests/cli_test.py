# SPDX-License-Identifier: Apache-2.0
"""The flashrt command as a user meets it: on the goldens, on made-up weights, and on what is wrong."""

import json
import re
import shutil

import golden
import numpy as np
import pytest
from PIL import Image

CASE = golden.cases("lerobot_tiny")[1]  # pictures of another size than the model's
QUICK = ("--threads", "1", "--no-pin")


@pytest.fixture(scope="session")
def asked(tmp_path_factory):
    """The golden call's inputs as files and arguments."""
    folder = tmp_path_factory.mktemp("inputs")
    arguments = ["--checkpoint", CASE.folder, "--prompt", CASE.prompt, *QUICK]
    for camera, pixels in CASE.images.items():
        Image.fromarray(pixels).save(folder / f"{camera}.png")
        arguments += ["--image", folder / f"{camera}.png"]
    np.save(folder / "noise.npy", CASE.noise)
    state = ",".join(repr(float(x)) for x in CASE.state)
    return [*arguments, f"--state={state}", "--noise", folder / "noise.npy"]


@pytest.fixture(scope="session")
def made_up(flashrt, tmp_path_factory):
    """A checkpoint of random weights, made by the command itself."""
    folder = tmp_path_factory.mktemp("random") / "checkpoint"
    result = flashrt("random-checkpoint", "pi05", "--shape", "tiny", "--out", folder)
    assert result.status == 0, result.err
    return folder


# run

def test_run_gives_the_golden_actions(flashrt, asked):
    result = flashrt("run", *asked, "--precision", "f32", "--json")
    assert result.status == 0, result.err
    got = result.json
    assert golden.relative_l2(got["actions"], CASE.actions) <= 1e-5
    assert got["precision"] == "f32" and got["threads"] == 1 and 0 < got["replay_ms"] <= got["ms"]


def test_run_prints_a_row_for_each_step(flashrt, asked):
    result = flashrt("run", *asked, "--reps", "3")
    assert result.status == 0, result.err
    rows = [line for line in result.out.splitlines() if re.match(r" *\d+( +-?\d+\.\d{4}){7}$", line)]
    assert len(rows) == len(CASE.actions)
    printed = np.array([row.split()[1:] for row in rows], float)
    assert np.abs(printed - CASE.actions).max() < 0.1 * np.abs(CASE.actions).max()
    assert "p99" in result.out


def test_run_reads_state_files_and_missing_cameras(flashrt, asked, tmp_path):
    np.save(tmp_path / "state.npy", CASE.state)
    arguments = [a for a in asked if not str(a).startswith("--state")]
    with_file = flashrt("run", *arguments, "--state", tmp_path / "state.npy", "--json")
    assert with_file.json["actions"] == flashrt("run", *asked, "--json").json["actions"]
    last = max(i for i, a in enumerate(asked) if a == "--image")
    none = [*asked[: last + 1], "none", *asked[last + 2 :]]
    left_off = asked[:last] + asked[last + 2 :]
    assert flashrt("run", *none, "--json").json["actions"] == flashrt("run", *left_off, "--json").json["actions"]


def test_run_repeats_with_a_seed(flashrt, asked):
    arguments = asked[: asked.index("--noise")]
    one, again, other = (flashrt("run", *arguments, "--json", "--seed", s).json["actions"] for s in (7, 7, 8))
    assert one == again != other


def test_run_honours_its_options(flashrt, asked):
    without_noise = asked[: asked.index("--noise")]
    got = flashrt("run", *without_noise, "--horizon", "9", "--steps", "2", "--precision", "int8", "--keep", "vision=bf16",
                  "--isa", "portable", "--seed", "1", "--json").json
    assert (got["horizon"], got["steps"], got["isa"]) == (9, 2, "portable")
    assert "int8" in got["precision"] and "vision=bf16" in got["precision"]
    assert np.shape(got["actions"]) == (9, 7)


# bench, explain, compare, check

def test_bench_reports_every_figure(flashrt):
    got = flashrt("bench", "pi05", "--random", "--shape", "tiny", "--views", "2", "--prompt-tokens", "9", "--steps", "3",
                  "--horizon", "5", "--precision", "int8", "--reps", "4", *QUICK, "--json").json
    for key in ("model precision threads min_ms p50_ms p95_ms p99_ms flops bytes peak_gops share_of_peak rss_mib load_ms "
                "samples_ms record_ms weight_mib vision_ms prefix_ms denoise_ms kernels cpu version").split():
        assert key in got, key
    assert (got["model"], got["precision"], got["threads"], got["views"]) == ("pi05", "int8", 1, 2)
    assert (got["steps"], got["horizon"], got["prompt_tokens"]) == (3, 5, 9)
    assert len(got["samples_ms"]) == 4
    assert 0 < got["min_ms"] == min(got["samples_ms"]) <= got["p50_ms"] <= got["p95_ms"] <= got["p99_ms"]
    share = got["flops"] / got["p50_ms"] / 1e6 / got["peak_gops"]
    assert got["share_of_peak"] == pytest.approx(share, rel=1e-3)
    assert got["rss_mib"] > got["weight_mib"] > 0
    assert sum(got["kernels"]["mat_mul"].values()) > 10


def test_bench_counts_work_that_grows_with_the_model(flashrt):
    def flops(*arguments):
        return flashrt("bench", "--random", "--shape", "tiny", "--reps", "1", "--no-stages", *QUICK, "--json",
                       *arguments).json["flops"]

    assert flops("--views", "1") < flops("--views", "2") < flops("--views", "2", "--steps", "20")


def test_bench_has_a_table_too(flashrt, made_up):
    result = flashrt("bench", "--checkpoint", made_up, "--reps", "2", *QUICK)
    assert result.status == 0, result.err
    for word in ("min", "p50", "share of peak", "packed weights", "vision", "prefix", "denoise"):
        assert word in result.out


def test_explain_adds_up(flashrt, made_up):
    got = flashrt("explain", "--checkpoint", made_up, *QUICK, "--json").json
    launches = flashrt("explain", "--checkpoint", made_up, *QUICK, "--launches", "--json").json
    assert sum(g["calls"] for g in got["groups"]) == got["launches"] == len(launches["groups"])
    assert sum(g["ms"] for g in got["groups"]) == pytest.approx(got["ms"], rel=1e-3)
    assert sum(g["flops"] for g in got["groups"]) == sum(g["flops"] for g in launches["groups"])
    table = flashrt("explain", "--checkpoint", made_up, *QUICK)
    assert table.status == 0
    for group in got["groups"]:
        assert group["label"] in table.out


def test_compare_names_the_error_of_every_op(flashrt, asked):
    against_reference = flashrt("compare", *asked, "--precision", "f32", "--against", "reference", "--json").json
    assert against_reference["actions"]["relative_l2"] < 1e-5
    assert all(op["relative_l2"] < 1e-4 for op in against_reference["ops"])
    int8 = flashrt("compare", *asked, "--precision", "int8", "--against", "f32", "--json").json
    assert 1e-5 < int8["actions"]["relative_l2"] < 0.1
    assert len(int8["actions"]["dimensions"]) == 7
    assert flashrt("compare", *asked, "--precision", "bf16").status == 0


def test_check_holds_every_kernel_to_its_reference(flashrt, asked):
    result = flashrt("check", *asked, "--precision", "int8", "--json")
    assert result.status == 0, result.err
    assert result.json["failed"] == 0 and result.json["launches"] > 50
    strict = flashrt("check", *asked, "--precision", "bf16", "--tolerance", "1e-12")
    assert strict.status == 1
    assert re.search(r'\d+ of \d+ launches are off by more than 1e-12; the first is \w+ "', strict.err)


# inspect, doctor, random-checkpoint

@pytest.mark.parametrize("layout", ["lerobot_tiny", "openpi_tiny"])
def test_inspect_shows_the_goldens(flashrt, layout):
    got = flashrt("inspect", golden.FOLDER / layout, "--json").json
    assert got["problems"] == []
    assert got["facts"]["layout"] == layout.split("_")[0]
    assert got["tensor_count"] == sum(t["count"] for t in got["tensors"])
    text = flashrt("inspect", golden.FOLDER / layout, "--tensors")
    assert text.status == 0 and "action_in_proj.weight" in text.out


def test_inspect_leaves_files_alone_that_no_model_reads(flashrt, tmp_path):
    folder = tmp_path / "checkpoint"
    shutil.copytree(CASE.folder, folder)
    (folder / "tokenizer.json").write_text('{"vocab":{' + ",".join(f'"{i:08}":{i}' for i in range(1_000_000)) + "}}")
    (folder / "notes.json").write_text("no JSON")
    got = flashrt("inspect", folder, "--json")
    assert got.status == 0 and got.json["problems"] == [] and got.json["files"]["tokenizer.json"] > 16 << 20


def test_inspect_reads_one_file(flashrt):
    got = flashrt("inspect", CASE.folder / "golden.safetensors", "--json").json
    assert got["tensor_count"] > 50 and got["facts"] == {}


def broken(folder, how):
    """A copy of a golden checkpoint, damaged."""
    shutil.copytree(CASE.folder, folder)
    weights, config = folder / "model.safetensors", folder / "config.json"
    if how == "cut weights":
        weights.write_bytes(weights.read_bytes()[:-3])
    elif how == "no weights":
        weights.unlink()
    elif how == "config is no JSON":
        config.write_text("{")
    elif how == "another model":
        config.write_text(config.read_text().replace('"pi05"', '"act"', 1))
    elif how == "a wrong width":
        facts = json.loads(config.read_text())
        facts["max_action_dim"] = 9
        config.write_text(json.dumps(facts))
    elif how == "statistics of another width":
        facts = json.loads(config.read_text())
        facts["output_features"]["action"]["shape"] = [6]
        config.write_text(json.dumps(facts))
    elif how == "another tokenizer":
        (folder / "tokenizer.model").write_bytes(b"no model at all")
    elif how == "no statistics":
        (folder / "policy_preprocessor_step_3_normalizer_processor.safetensors").unlink()
    return folder


@pytest.mark.parametrize("how, named", [
    ("cut weights", "model.safetensors"), ("no weights", "model.safetensors"), ("config is no JSON", "config.json"),
    ("another model", "act"), ("a wrong width", "max_action_dim"),
    ("statistics of another width", "its statistics have 7"), ("another tokenizer", "not a SentencePiece model"),
    ("no statistics", "policy_preprocessor_step_3_normalizer_processor.safetensors"),
])
def test_broken_checkpoints_are_named(flashrt, tmp_path, how, named):
    folder = broken(tmp_path / "checkpoint", how)
    inspected = flashrt("inspect", folder)
    assert inspected.status == 1 and named in inspected.err
    assert "golden.json" in inspected.out  # what is there is shown all the same
    run = flashrt("run", "--checkpoint", folder, "--prompt", "a", *QUICK)
    assert run.status == 1 and named in run.err


def test_doctor_knows_the_machine(flashrt):
    got = flashrt("doctor", "--json", env={"FLASHRT_THREDS": "2"}).json
    assert got["cpu"] and got["rows"].startswith("portable") and got["cores_allowed"]
    for peaks in (got["peaks_one_thread"], got["peaks_all_threads"]):
        assert all(peaks[key] > 0 for key in ("f32_gops", "bf16_gops", "i8_gops", "dram_gbps"))
    assert any("FLASHRT_THREDS" in text for text in got["advice"])
    assert "pi05" in got["models"]


def test_random_checkpoints_load_again(flashrt, made_up):
    assert flashrt("inspect", made_up).status == 0
    again = flashrt("random-checkpoint", "--shape", "tiny", "--out", made_up)
    assert again.status == 1 and "checkpoint already" in again.err


# errors, usage, environment

def test_version_and_help(flashrt):
    assert flashrt("--version").out == "flashrt 0.1.0\n"
    for arguments in (["--help"], ["run", "--help"], ["bench", "--help"]):
        assert flashrt(*arguments).status == 0


@pytest.mark.parametrize("arguments", [
    [], ["fly"], ["run", "--no-such-option"], ["bench", "--reps", "0"], ["bench", "--reps", "many"],
    ["random-checkpoint"], ["bench", "--random", "--shape", "huge"], ["bench", "--random", "--checkpoint", "x"],
])
def test_wrong_usage_is_status_2(flashrt, arguments):
    result = flashrt(*arguments)
    assert result.status == 2 and result.err and not result.out


@pytest.mark.parametrize("arguments, named", [
    (["--image", "no.png"], "no.png"),
    (["--image", CASE.folder / "config.json"], "config.json"),
    (["--state", "1,2,x"], '"x"'),
    (["--state", "1,2"], "state has 2 values"),
    (["--precision", "int3"], "int3"),
    (["--precision", "int8,legs=bf16"], "legs"),
    (["--kernel", "mat_mul"], "OP=ROW"),
    (["--kernel", "mat_mul=none_such"], "mat_mul=none_such"),
    (["--kernel", "matmul=avx2"], 'no op "matmul"'),
    (["--threads", "5000"], "5000"),
    (["--views", "7"], "7 views"),
    (["--isa", "avx9"], "avx9"),
])
def test_errors_are_status_1_and_name_the_cause(flashrt, tmp_path, arguments, named):
    picture = tmp_path / "p.png"
    Image.fromarray(CASE.images["base"]).save(picture)
    own = [] if "--image" in arguments else ["--image", picture]
    own += [] if "--state" in arguments else ["--state", "0,0,0,0,0,0"]
    pins = [] if "--threads" in arguments else QUICK
    result = flashrt("run", "--checkpoint", CASE.folder, "--prompt", "a", *pins, *own, *arguments)
    assert result.status == 1 and not result.out
    assert result.err.startswith("flashrt: ") and named in result.err
    assert len(result.err.splitlines()) <= 3


def test_the_environment_sets_defaults(flashrt, asked):
    arguments = [a for a in asked if a not in QUICK]
    got = flashrt("run", *arguments, "--json", env={"FLASHRT_THREADS": "1", "FLASHRT_ISA": "portable", "FLASHRT_PIN": "0"})
    assert (got.json["threads"], got.json["isa"]) == (1, "portable")
    wrong = flashrt("run", *arguments, env={"FLASHRT_THREADS": "many"})
    assert wrong.status == 1 and "FLASHRT_THREADS" in wrong.err
