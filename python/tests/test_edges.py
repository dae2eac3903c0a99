# SPDX-License-Identifier: Apache-2.0
"""Values at and beyond the edges of what a call takes, and the rest of FlashRT's interface."""

import inspect

import golden
import numpy as np
import pytest

import flash_rt
from flash_rt import _compatibility

CASE = golden.cases("lerobot_tiny")[0]


@pytest.fixture(scope="module")
def model():
    with flash_rt.load_model(CASE.folder, threads=1, pin=False, precision="f32") as loaded:
        yield loaded


def ask(model, **changes):
    return model.predict(**{"images": CASE.images, "prompt": CASE.prompt, "state": CASE.state, **changes})


@pytest.mark.parametrize("prompt, text", [
    (" ", "prompt is empty"), ("\n\t ", "prompt is empty"), ("open \ud800 it", "at 5, half of a surrogate pair"),
])
def test_prompts_that_say_nothing(model, prompt, text):
    for call in (lambda: ask(model, prompt=prompt), lambda: model.tokens(prompt, CASE.state), lambda: model.set_prompt(prompt),
                 lambda: model.infer({**CASE.images, "prompt": prompt, "state": CASE.state})):
        with pytest.raises(flash_rt.Error, match=text):
            call()


@pytest.mark.parametrize("prompt", [5, None, b"open"])
def test_tokens_of_what_is_no_text(model, prompt):
    with pytest.raises(TypeError, match="prompt must be a text"):
        model.tokens(prompt, CASE.state)


def test_seeds_from_the_first_to_the_last(model):
    first, last, numpys = (ask(model, seed=s) for s in (0, 2**64 - 1, np.uint64(2**64 - 1)))
    assert not np.array_equal(first, last) and np.array_equal(last, numpys)
    for seed in (2**64, -1, 1.0, True, "1"):
        with pytest.raises(TypeError, match="seed must be a whole number from 0 to"):
            ask(model, seed=seed)


def test_tokens_in_every_form_of_whole_numbers(model):
    wanted = ask(model, prompt=None, tokens=CASE.token_ids, noise=CASE.noise)
    for tokens in (tuple(CASE.token_ids), np.array(CASE.token_ids), np.array(CASE.token_ids, np.uint16), iter(CASE.token_ids)):
        assert np.array_equal(ask(model, prompt=None, tokens=tokens, noise=CASE.noise), wanted)


@pytest.mark.parametrize("tokens, kind, text", [
    ([2.7, 3.9], TypeError, r"tokens\[0\] must be a whole number, not 2.7"),
    ([2, "3"], TypeError, r"tokens\[1\] must be"),
    (np.array([2.0, 3.0]), TypeError, r"tokens\[0\] must be"),
    ("23", TypeError, "tokens must be a list"),
    (5, TypeError, "tokens must be a list"),
    ([2, 2**40], flash_rt.Error, r"tokens\[1\] is 1099511627776"),
    ([2, -1], flash_rt.Error, r"tokens\[1\] is -1"),
    ([], flash_rt.Error, "tokens is empty"),
])
def test_tokens_that_are_none(model, tokens, kind, text):
    with pytest.raises(kind, match=text):
        ask(model, prompt=None, tokens=tokens)


def test_what_is_not_offered_says_why(model):
    with pytest.raises(NotImplementedError, match=r"release_resident: .*close\(\)"):
        model.release_resident()
    with pytest.raises(NotImplementedError, match="pipeline: .*flashrt explain"):
        model.pipeline
    assert not hasattr(model, "pipeline")
    assert dict(inspect.getmembers(model))["framework"] == "torch"


def test_the_documentation_names_every_parameter():
    documented = (golden.ROOT / "docs/python.md").read_text() + flash_rt.load_model.__doc__
    for name in [*_compatibility.PARAMETERS, *inspect.signature(flash_rt.load_model).parameters]:
        assert name == "compatibility" or name in documented, name


def test_a_value_that_is_not_honoured_is_refused_with_the_alternative():
    with pytest.raises(flash_rt.Error, match="use_fp4=True is not honoured by this engine .only False.: there are no FP4"):
        flash_rt.load_model(CASE.folder, use_fp4=True)
