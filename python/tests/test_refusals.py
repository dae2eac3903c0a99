# SPDX-License-Identifier: Apache-2.0
"""What is wrong is refused, with a text that names it."""

import shutil

import golden
import numpy as np
import pytest

import flash_rt
from flash_rt import _compatibility

CASE = golden.cases("lerobot_tiny")[0]
QUICK = {"threads": 1, "pin": False}


OPENPI = golden.cases("openpi_tiny")[0]


@pytest.fixture(scope="module")
def model():
    with flash_rt.load_model(CASE.folder, **QUICK) as loaded:
        yield loaded


BASE = CASE.images["base"]
BAD_CALLS = {
    "no images": ({"images": []}, flash_rt.Error, "no image"),
    "every camera missing": ({"images": [None, None]}, flash_rt.Error, "every camera is missing"),
    "too many images": ({"images": [BASE] * 3}, flash_rt.Error, "3 images"),
    "a text for images": ({"images": "base.jpg"}, TypeError, "images must be"),
    "one array for images": ({"images": BASE}, TypeError, "images must be"),
    "a text for a picture": ({"images": ["base.jpg"]}, TypeError, "image 0 must be an array"),
    "a flat picture": ({"images": [BASE[:, :, 0]]}, flash_rt.Error, "image 0 has the shape"),
    "four channels": ({"images": [np.zeros((28, 28, 4), np.uint8)]}, flash_rt.Error, "image 0 has the shape"),
    "whole numbers that are no pixels": ({"images": [BASE.astype(np.int32)]}, TypeError, "image 0 is of type int32"),
    "normalised floats": ({"images": [BASE / 127.5 - 1]}, flash_rt.Error, "outside 0 to 1"),
    "NaN pixels": ({"images": [np.full((28, 28, 3), np.nan, np.float32)]}, flash_rt.Error, "outside 0 to 1"),
    "an empty picture": ({"images": [np.zeros((0, 28, 3), np.uint8)]}, flash_rt.Error, "image 0"),
    "an unknown camera": ({"images": {"head": BASE}}, flash_rt.Error, "no camera is called 'head'"),
    "a camera twice": ({"images": {"base": BASE, "observation.images.base": BASE}}, flash_rt.Error, "same camera"),
    "a narrow state": ({"state": CASE.state[:5]}, flash_rt.Error, "state has 5 values"),
    "a state of two dimensions": ({"state": CASE.state[None]}, flash_rt.Error, "state has the shape"),
    "a NaN state": ({"state": np.full(6, np.nan)}, flash_rt.Error, r"state\[0\]"),
    "a state of texts": ({"state": ["a"] * 6}, TypeError, "state must hold numbers"),
    "no state": ({"state": None}, flash_rt.Error, "no state"),
    "narrow noise": ({"noise": CASE.noise[:, :7]}, flash_rt.Error, "noise has the shape"),
    "infinite noise": ({"noise": np.full_like(CASE.noise, np.inf)}, flash_rt.Error, r"noise\[0\]"),
    "a number for the prompt": ({"prompt": 5}, TypeError, "prompt must be a text"),
    "an empty prompt": ({"prompt": ""}, flash_rt.Error, "prompt is empty"),
    "prompt and tokens": ({"tokens": [2, 3]}, flash_rt.Error, "not both"),
    "a token outside the vocabulary": ({"prompt": None, "tokens": [2, 10**6]}, flash_rt.Error, "1000000"),
    "a seed that is no number": ({"seed": "one"}, TypeError, "seed must be"),
    "a negative seed": ({"seed": -1}, TypeError, "seed must be"),
}


@pytest.mark.parametrize("what", BAD_CALLS)
def test_bad_calls(model, what):
    changes, kind, text = BAD_CALLS[what]
    good = {"images": CASE.images, "prompt": CASE.prompt, "state": CASE.state}
    with pytest.raises(kind, match=text):
        model.predict(**{**good, **changes})
    assert np.isfinite(model.predict(**good)).all()


def test_a_state_has_the_width_of_the_statistics_or_the_one_asked_for():
    call = {"images": OPENPI.images, "tokens": OPENPI.token_ids}
    with flash_rt.load_model(OPENPI.folder, **QUICK) as wide:
        assert wide.info["state_dim"] == 10
        with pytest.raises(flash_rt.Error, match="state has 6 values, this policy takes 10"):
            wide.predict(**call, state=OPENPI.state)
    with flash_rt.load_model(OPENPI.folder, state_dim=6, **QUICK) as right:
        assert np.isfinite(right.predict(**call, state=OPENPI.state)).all()
        with pytest.raises(flash_rt.Error, match="state has 5 values, this policy takes 6"):
            right.predict(**call, state=OPENPI.state[:5])


def test_the_first_call_needs_a_prompt():
    with flash_rt.load_model(CASE.folder, **QUICK) as fresh:
        with pytest.raises(flash_rt.Error, match="no prompt"):
            fresh.predict(CASE.images, state=CASE.state)


def test_bad_observations(model):
    with pytest.raises(TypeError, match="observation must be a dictionary"):
        model.infer([BASE])
    with pytest.raises(flash_rt.Error, match="mean the same"):
        model.infer({**CASE.images, "prompt": "a", "task": "a", "state": CASE.state})
    with pytest.raises(flash_rt.Error, match="no camera is called 'velocity'"):
        model.infer({**CASE.images, "prompt": "a", "state": CASE.state, "velocity": 1})


BAD_OPTIONS = {
    "an unknown parameter": ({"num_view": 2}, TypeError, "near: num_views"),
    "an unknown precision": ({"precision": "fp7"}, flash_rt.Error, "fp7"),
    "an unknown group": ({"keep": {"legs": "bf16"}}, flash_rt.Error, "legs"),
    "an unknown model": ({"config": "pi99"}, flash_rt.Error, "pi99"),
    "more views than cameras": ({"num_views": 3}, flash_rt.Error, "2 cameras"),
    "no views": ({"num_views": 0}, flash_rt.Error, "num_views"),
    "a text for the views": ({"num_views": "two"}, TypeError, "num_views must be int"),
    "an unknown instruction set": ({"isa": "avx1024"}, flash_rt.Error, "avx1024"),
    "an unknown kernel row": ({"kernels": {"mat_mul": "none_such"}}, flash_rt.Error, "mat_mul=none_such"),
    "a kernel of an unknown op": ({"kernels": {"matmul": "avx2"}}, flash_rt.Error, 'no op "matmul"; it has: .*mat_mul'),
    "no steps": ({"num_steps": 0}, flash_rt.Error, "num_steps"),
    "a tokenizer that is not there": ({"tokenizer": "no.model"}, flash_rt.Error, "no.model"),
    "negative threads": ({"threads": -1}, flash_rt.Error, "-1"),
    "another state than the statistics'": ({"state_dim": 5}, flash_rt.Error, "state_dim is 5.*statistics say 6"),
    "a state of no width": ({"state_dim": 0}, flash_rt.Error, "state_dim=0 must be at least 1"),
    "an action width that the files say": ({"action_dim": 3}, flash_rt.Error, "action_dim is 3.*config.json says 7"),
    "an asset of a lerobot checkpoint": ({"norm_asset": "droid"}, flash_rt.Error, "norm_asset is \"droid\""),
    "a padded state that is cut": ({"state_prompt_dims": 5}, flash_rt.Error, "state_prompt_dims is 5"),
}


@pytest.mark.parametrize("what", BAD_OPTIONS)
def test_bad_options(what):
    options, kind, text = BAD_OPTIONS[what]
    with pytest.raises(kind, match=text):
        flash_rt.load_model(CASE.folder, **{**QUICK, **options})


# A value of each of FlashRT's parameters that this engine would not honour.
OTHER_VALUES = {
    "framework": "jax", "autotune": 5, "recalibrate": True, "weight_cache": "yes", "device": "cuda",
    "hardware": "thor", "decode_cuda_graph": True, "decode_graph_steps": 40, "max_decode_steps": 10,
    "embodiment_tag": "gr1", "use_fp4": True, "fp4_layers": [0], "use_awq": True, "awq_alpha": 0.5,
    "use_p1_split_gu": True, "use_fp4_decoder": True, "use_fp4_encoder_attn": True, "use_fp4_siglip_ffn": True,
    "use_fa4": True, "encoder_p1_combiner": "lut", "encoder_down_variant": 1, "decoder_gate_up_variant": 1,
    "vision_pool_factor": 2, "vision_num_layers": 20, "cache_frames": 2, "state_prompt_mode": "fixed",
    "state_prompt_fixed_max_len": 64, "use_fp8": "yes", "use_fp16": True,
}


@pytest.mark.parametrize("name", _compatibility.PARAMETERS)
def test_parameters_of_the_reference_are_honoured_or_refused(name):
    parameter = _compatibility.PARAMETERS[name]
    with pytest.raises(flash_rt.Error, match=f"{name}=.*is not honoured"):
        flash_rt.load_model(CASE.folder, **QUICK, **{name: OTHER_VALUES[name]})
    _compatibility.check({name: value for value in parameter.honoured[:1]}, [])


def test_parameters_of_the_reference_at_their_defaults_are_taken():
    defaults = {name: p.honoured[0] for name, p in _compatibility.PARAMETERS.items()}
    flash_rt.load_model(CASE.folder, **QUICK, **defaults).close()


def test_calibration_says_why_there_is_none(model):
    for call in (lambda: model.calibrate([]), model.recalibrate):
        with pytest.raises(NotImplementedError, match="nothing to calibrate"):
            call()


def test_broken_checkpoints(tmp_path):
    with pytest.raises(flash_rt.Error, match="nowhere"):
        flash_rt.load_model(tmp_path / "nowhere")
    copy = tmp_path / "copy"
    shutil.copytree(CASE.folder, copy)
    (copy / "policy_postprocessor_step_0_unnormalizer_processor.safetensors").unlink()
    with pytest.raises(flash_rt.Error, match="policy_postprocessor_step_0.*: no such file"):
        flash_rt.load_model(copy, **QUICK)
    weights = (copy / "model.safetensors").read_bytes()
    (copy / "model.safetensors").write_bytes(weights[:-1])
    with pytest.raises(flash_rt.Error, match="model.safetensors: .*beyond the"):
        flash_rt.load_model(copy, **QUICK)


def test_random_checkpoints(tmp_path):
    flash_rt.save_random_model(tmp_path / "made", "tiny", seed=3)
    with flash_rt.load_model(tmp_path / "made", **QUICK) as made:
        assert made.info["state_dim"] == 8
        assert np.isfinite(made.predict([BASE], tokens=[2, 5, 7], state=np.zeros(8))).all()
        with pytest.raises(flash_rt.Error, match="no tokenizer"):
            made.predict([BASE], prompt="open the door", state=np.zeros(8))
    with pytest.raises(flash_rt.Error, match="made: the folder is not empty"):
        flash_rt.save_random_model(tmp_path / "made", "tiny")
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights/model.safetensors").write_bytes(b"the user's own")
    with pytest.raises(flash_rt.Error, match="weights: the folder is not empty"):
        flash_rt.save_random_model(tmp_path / "weights", "tiny")
    assert (tmp_path / "weights/model.safetensors").read_bytes() == b"the user's own"
    with pytest.raises(flash_rt.Error, match='stored as bf16 or f32, not "fp7"'):
        flash_rt.save_random_model(tmp_path / "other", "tiny", precision="fp7")
    with pytest.raises(flash_rt.Error, match="unknown shape"):
        flash_rt.save_random_model(tmp_path / "other", "huge")
