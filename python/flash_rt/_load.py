# SPDX-License-Identifier: Apache-2.0
"""Loading a checkpoint."""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping, Sequence
from typing import Any, Optional, Union

from flash_rt import _compatibility, _native
from flash_rt._model import VLAModel

Path = Union[str, "os.PathLike[str]"]


def load_model(
    checkpoint: Path,
    framework: str = "torch",
    num_views: Optional[int] = None,
    autotune: int = 3,
    recalibrate: bool = False,
    weight_cache: bool = True,
    config: str = "pi05",
    device: Optional[str] = None,
    *,
    hardware: str = "auto",
    action_horizon: Optional[int] = None,
    num_steps: Optional[int] = None,
    precision: str = "bf16",
    keep: Union[Mapping[str, str], Sequence[str], None] = None,
    threads: int = 0,
    pin: bool = True,
    isa: Optional[str] = None,
    kernels: Optional[Mapping[str, str]] = None,
    tokenizer: Optional[Path] = None,
    norm_asset: Optional[str] = None,
    state_in_prompt: Optional[bool] = None,
    state_prompt_dims: int = 0,
    pad_value: Optional[float] = None,
    state_dim: Optional[int] = None,
    action_dim: Optional[int] = None,
    relative_dims: Sequence[int] = (),
    normalized_actions: bool = False,
    seed: int = 0,
    **compatibility: Any,
) -> VLAModel:
    """Loads a checkpoint folder and records its programs; nothing is left to do at the first call.

    Parameters that FlashRT has too, with its meanings:
        checkpoint: folder in the lerobot or the openpi PyTorch layout.
        config: which model; "pi05".
        num_views: cameras. None: as many as the checkpoint names (FlashRT's default is 2).
        action_horizon: actions in a chunk. None: the checkpoint's.
        num_steps: flow steps. None: the checkpoint's.
        framework, autotune, recalibrate, weight_cache, device, hardware, use_fp8, use_fp16, use_fp4 and the others of its
            load_model choose nothing here: they are taken at the values that this engine honours, any other is an Error
            that names the alternative. `precision` decides alone, whatever use_fp8 says.

    Parameters of this engine:
        precision: "f32", "bf16" or "int8" (weights per output channel, activations per token); keep: exceptions by layer
            group, {"vision": "bf16"}. Groups: vision, prefix, expert.
        threads: CPU workers, 0: one for every core this process may use; pin: pin them to cores.
        isa: highest instruction set to use: "portable", "avx2" or "avx512". None: the best there is.
        kernels: op to the only kernel row allowed for it, {"mat_mul": "avx2"}.
        tokenizer: SentencePiece file. None: tokenizer.model beside the checkpoint.
        norm_asset: openpi checkpoints: which folder of assets holds the statistics, where there are several.
        state_in_prompt: whether the state is part of the prompt. None: as the checkpoint says.
        state_prompt_dims: width that the state is padded to in the prompt; 0: the robot's own.
        pad_value: value of the bars beside a resized picture, after scaling to -1 to 1. None: the checkpoint's.
        state_dim: width of the robot's state, for openpi checkpoints whose statistics are longer. None: theirs.
        action_dim: width of a robot action where the checkpoint does not say (openpi). None: its statistics'.
        relative_dims: actions that are relative to the state, where the checkpoint does not say (openpi).
        normalized_actions: actions as the model makes them; statistics may then be missing.
        seed: of the model's own noise.

    Raises flash_rt.Error naming the file, tensor, statistic or parameter at fault, and TypeError for unknown parameters.
    """
    shared = {
        "framework": framework,
        "autotune": autotune,
        "recalibrate": recalibrate,
        "weight_cache": weight_cache,
        "device": device,
        "hardware": hardware,
    }
    _compatibility.check({**shared, **compatibility}, inspect.signature(load_model).parameters)
    options = _native.LoadOptions()
    _set(options, "config", str, config)
    _set(options, "views", int, num_views, "num_views")
    _set(options, "horizon", int, action_horizon, "action_horizon")
    _set(options, "steps", int, num_steps, "num_steps")
    _set(options, "precision", str, precision)
    _set(options, "keep", list, [f"{k}={v}" for k, v in keep.items()] if isinstance(keep, Mapping) else keep)
    _set(options, "threads", int, threads)
    _set(options, "pin", bool, pin)
    _set(options, "isa", str, isa)
    _set(options, "kernels", dict, kernels)
    _set(options, "tokenizer", os.fspath, tokenizer)
    _set(options, "norm_asset", str, norm_asset)
    _set(options, "state_in_prompt", bool, state_in_prompt)
    _set(options, "state_prompt_dims", int, state_prompt_dims)
    _set(options, "pad_value", float, pad_value)
    _set(options, "state_dim", int, state_dim, "state_dim")
    _set(options, "action_dim", int, action_dim)
    _set(options, "relative_dims", list, relative_dims)
    _set(options, "normalized_actions", bool, normalized_actions)
    _set(options, "seed", int, seed)
    return VLAModel(_native.load_model(os.fspath(checkpoint), options))


def save_random_model(folder: Path, shape: str = "tiny", *, config: str = "pi05", precision: str = "bf16",
                      seed: int = 0) -> None:
    """Writes random weights of the public checkpoints' shape ("full") or a small one ("tiny") as a checkpoint folder in
    the lerobot layout, without a tokenizer; stored as bf16, or f32 with precision="f32"."""
    options = _native.LoadOptions()
    options.config = config
    options.precision = precision
    options.random_seed = seed
    _native.save_random_model(os.fspath(folder), shape, options)


def _set(options: _native.LoadOptions, field: str, kind: Any, value: Any, counted: str = "") -> None:
    """Sets an option unless it is None; whole numbers pass for floats, and nothing else for another type.

    `counted` is the parameter's own name where it is a number from 1.
    """
    if value is None:
        return
    field_name = counted or field
    if isinstance(value, str) and kind is list:
        value = [value]
    right = {
        list: lambda v: isinstance(v, Sequence) and not isinstance(v, bytes),
        dict: lambda v: isinstance(v, Mapping),
        float: lambda v: isinstance(v, (int, float)) and not isinstance(v, bool),
        int: lambda v: isinstance(v, int) and not isinstance(v, bool),
        os.fspath: lambda v: isinstance(v, (str, os.PathLike)),
    }.get(kind, lambda v: isinstance(v, kind))
    if not right(value):
        wanted = "a path" if kind is os.fspath else kind.__name__
        raise TypeError(f"load_model(): {field_name} must be {wanted}, not {value!r}")
    if counted and value < 1:
        raise _native.Error(f"{field_name}={value!r} must be at least 1; None takes the checkpoint's")
    try:
        setattr(options, field, kind(value))
    except (TypeError, OverflowError) as error:
        raise TypeError(f"load_model(): {field_name}={value!r} does not fit") from error
