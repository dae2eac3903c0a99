# SPDX-License-Identifier: Apache-2.0
"""A loaded policy."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn, Optional

import numpy as np
from numpy.typing import NDArray

from flash_rt import _inputs, _native
from flash_rt._native import Error

_STATE_KEYS = ("state", "observation/state", "observation.state")
_PROMPT_KEYS = ("prompt", "task")
_DYNAMIC = ("int8 scales of activations are taken from every token as it passes, so there is nothing to calibrate and no "
            "cache that could be stale")
_RESIDENT = ("the weights are used where they lie and nothing else is kept between calls; close() gives all memory back, "
             "load_model brings the model again")
_PIPELINE = ("the programs are recorded inside the engine and have no Python object; `flashrt explain` shows them with the "
             "time of every part, model.info what was loaded")


class NotOffered(NotImplementedError, AttributeError):
    """A part of FlashRT's interface that this engine has no use for; hasattr() says no to it, as to what is not there."""



class VLAModel:
    """A policy: pictures, a prompt and the robot's state to a chunk of actions.

    Made by `flash_rt.load_model`. Several threads may use one model, their calls then wait for each other; two models
    run at the same time. Errors of the inputs are `flash_rt.Error` (a RuntimeError) or TypeError, raised before
    anything runs.
    """

    def __init__(self, native: _native.Policy):
        self._policy: Optional[_native.Policy] = native
        self._info = native.info()
        self._prompt: Optional[str] = None

    def predict(
        self,
        images: Any,
        prompt: Optional[str] = None,
        state: Any = None,
        *,
        noise: Any = None,
        seed: Optional[int] = None,
        tokens: Optional[Iterable[int]] = None,
    ) -> NDArray[np.float32]:
        """Actions in robot units, float32 [horizon, action_dim].

        images: a list in the order of `info["cameras"]`, or a dictionary by camera name (its last part is enough), by the
            robot's own name where the checkpoint renames it, or by image, wrist_image, wrist_image_right. A picture is uint8 [height, width, 3] of any size (or [3, height,
            width], or floats from 0 to 1) in numpy or DLPack memory; None, or one left off the end, is a missing camera.
        prompt: what the robot is to do; needed in the first call, kept for the following ones.
        state: the robot's state in its own units, [state_dim].
        noise: where the flow starts, [horizon, model_action_dim]; by default drawn from `seed`.
        seed: 0 to 2**64 - 1; the same seed gives the same actions; by default every call draws anew from the seed of
            load_model.
        tokens: prompt ids made by the caller, instead of prompt and state text.
        """
        return self._call(images, prompt, state, noise, seed, tokens)[0]

    def infer(self, observation: Mapping[str, Any], *, noise: Any = None, seed: Optional[int] = None) -> dict[str, Any]:
        """The same for an observation dictionary, as openpi's policies take it.

        It holds the prompt (`prompt` or `task`), the state (`state`, `observation/state` or `observation.state`) and the
        pictures, as `images` or one key a camera. Gives `actions` [horizon, action_dim], `actions_normalized`
        [horizon, model_action_dim] and `policy_timing` with `infer_ms` and `replay_ms`.
        """
        if not isinstance(observation, Mapping):
            raise TypeError(f"observation must be a dictionary, not {type(observation).__name__}")
        rest = dict(observation)
        prompt = _take(rest, _PROMPT_KEYS)
        state = _take(rest, _STATE_KEYS)
        actions, normalized, ms, replay_ms = self._call(rest, prompt, state, noise, seed, None)
        return {
            "actions": actions,
            "actions_normalized": normalized,
            "policy_timing": {"infer_ms": ms, "replay_ms": replay_ms},
        }

    def _call(self, images: Any, prompt: Any, state: Any, noise: Any, seed: Any, tokens: Any) -> tuple[Any, ...]:
        policy = self._open()
        text = self._prompt if prompt is None else _checked_prompt(prompt)
        ids = [] if tokens is None else _checked_tokens(tokens)
        if ids and prompt is not None:
            raise Error("give a prompt or its tokens, not both")
        info = self._info
        result = policy.predict(
            _inputs.as_pictures(images, info["cameras"], info["renamed_observations"]),
            "" if ids or text is None else text,
            _inputs.as_numbers(state, "state"),
            _inputs.as_noise(noise, info["horizon"], info["model_action_dim"]),
            None if seed is None else _checked_seed(seed),
            ids,
        )
        self._prompt = text
        return result

    def set_prompt(self, prompt: str) -> None:
        """Sets the prompt of the following calls. Costs nothing: no program is recorded for a prompt."""
        self._prompt = _checked_prompt(prompt)

    def tokens(self, prompt: str, state: Any = None) -> list[int]:
        """The ids that the model reads for a prompt and state."""
        return self._open().tokens(_checked_prompt(prompt), _inputs.as_numbers(state, "state"))

    def warm_state_prompt_buckets(self, images: Any, prompt: str, states: Iterable[Any]) -> list[int]:
        """The prompt lengths in tokens that these states lead to, ascending. Nothing needs warming: programs of every
        length were recorded when the model was loaded."""
        del images
        return sorted({len(self.tokens(prompt, state)) for state in states})

    def get_latency_stats(self) -> dict[str, Any]:
        """count, min_ms, mean_ms, p50_ms, p95_ms, p99_ms and max_ms of the calls so far (of the last 100,000)."""
        return self._open().latency()

    def reset_latency_stats(self) -> None:
        """Forgets the calls so far."""
        self._open().reset_latency()

    def calibrate(self, observations: Any = None, **_: Any) -> None:
        """Not needed on this engine, see the error's text."""
        _refuse("calibrate", _DYNAMIC)

    def recalibrate(self) -> None:
        """Not needed on this engine, see the error's text."""
        _refuse("recalibrate", _DYNAMIC)

    def release_resident(self) -> None:
        """Not needed on this engine, see the error's text."""
        _refuse("release_resident", _RESIDENT)

    def close(self) -> None:
        """Gives the memory back; a call that runs in another thread ends first. Closing twice does nothing."""
        self._policy = None

    def __enter__(self) -> VLAModel:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "" if self._policy else ", closed"
        return f"<flash_rt.VLAModel {self._info['model']} from {self._info['source']}, {self.precision}{state}>"

    @property
    def prompt(self) -> Optional[str]:
        """The prompt that calls without one use."""
        return self._prompt

    @property
    def framework(self) -> str:
        """The layout family of the checkpoint, always "torch"."""
        return "torch"

    @property
    def pipeline(self) -> NoReturn:
        """Not there on this engine, see the error's text."""
        _refuse("pipeline", _PIPELINE)

    @property
    def info(self) -> dict[str, Any]:
        """What was loaded: model, source, precision, threads, cameras, state_dim, action_dim, horizon, num_steps, ..."""
        return dict(self._info)

    @property
    def precision(self) -> str:
        """Such as "bf16" or "int8,vision=bf16"."""
        return str(self._info["precision"])

    @property
    def precision_spec(self) -> dict[str, Any]:
        """The weights' precision as a dictionary: `weights` for all, `keep` by layer group, and how int8 is scaled."""
        first, *kept = self.precision.split(",")
        spec: dict[str, Any] = {"weights": first, "keep": dict(item.split("=", 1) for item in kept)}
        if "int8" in (first, *spec["keep"].values()):
            spec["int8"] = {"weights": "per output channel, symmetric", "activations": "per token, symmetric, dynamic"}
        return spec

    def _open(self) -> _native.Policy:
        if self._policy is None:
            raise Error("the model is closed")
        return self._policy


def _checked_prompt(prompt: Any) -> str:
    if not isinstance(prompt, str):
        raise TypeError(f"prompt must be a text, not {type(prompt).__name__}")
    if not prompt.strip():
        raise Error("the prompt is empty; say what the robot is to do")
    try:
        prompt.encode()
    except UnicodeEncodeError as error:
        raise Error(f"the prompt holds {prompt[error.start]!r} at {error.start}, half of a surrogate pair and no character; "
                    "decode the text it came from as what it is") from error
    return prompt


def _checked_seed(seed: Any) -> int:
    if not isinstance(seed, (int, np.integer)) or isinstance(seed, bool) or not 0 <= seed < 2**64:
        raise TypeError(f"seed must be a whole number from 0 to 2**64 - 1, not {seed!r}")
    return int(seed)


def _checked_tokens(tokens: Any) -> list[int]:
    if isinstance(tokens, (str, bytes)) or not isinstance(tokens, Iterable):
        raise TypeError(f"tokens must be a list of whole numbers, not {tokens!r}")
    ids = []
    for i, token in enumerate(tokens):
        try:
            ids.append(operator.index(token))
        except TypeError as error:
            raise TypeError(f"tokens[{i}] must be a whole number, not {token!r}") from error
        if not 0 <= ids[-1] < 2**31:
            raise Error(f"tokens[{i}] is {token}, which is in no vocabulary")
    if not ids:
        raise Error("tokens is empty; give the ids of a prompt, or None to use the prompt")
    return ids


def _refuse(name: str, reason: str) -> NoReturn:
    raise NotOffered(f"{name}: {reason}")


def _take(observation: dict[str, Any], keys: tuple[str, ...]) -> Any:
    """Removes and gives the value of the one of `keys` that is there."""
    present = [key for key in keys if key in observation]
    if len(present) > 1:
        raise Error(f"the observation holds {' and '.join(present)}, which mean the same")
    return observation.pop(present[0]) if present else None
