# SPDX-License-Identifier: Apache-2.0
"""Parameters of FlashRT's load_model that choose nothing on this engine: taken at values that it honours, else refused."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from flash_rt._native import Error


class Parameter(NamedTuple):
    honoured: tuple[Any, ...]  # values that change nothing here; the first is FlashRT's default
    instead: str  # what to do when another value was meant


_PRECISION = 'choose with precision="f32", "bf16" or "int8", and keep={"vision": "bf16"} for exceptions'
_FP4 = "there are no FP4 kernels on a CPU; " + _PRECISION
_DECODER = "pi0.5 makes actions by flow steps (num_steps) and decodes no tokens"

PARAMETERS: Mapping[str, Parameter] = {
    "framework": Parameter(("torch",), "PyTorch checkpoints (safetensors) are read; convert a JAX one with openpi's "
                           "convert_jax_model_to_pytorch.py"),
    "autotune": Parameter((3, 0), 'kernels are rows of a table, best first, and not searched for; kernels={"mat_mul": '
                          '"avx2"} names one'),
    "recalibrate": Parameter((False,), "int8 scales of activations are taken from every token as it passes; there is "
                             "nothing to calibrate"),
    "weight_cache": Parameter((True, False), "weights are packed at every load, which takes seconds; there is no cache"),
    "device": Parameter((None, "cpu"), "this build runs on the CPU; threads chooses how many cores"),
    "hardware": Parameter(("auto", "cpu"), 'this build runs on the CPU; isa="avx2" chooses an instruction set'),
    "decode_cuda_graph": Parameter((False,), _DECODER),
    "decode_graph_steps": Parameter((80,), _DECODER),
    "max_decode_steps": Parameter((256,), _DECODER),
    "embodiment_tag": Parameter((None,), "pi0.5 has one embodiment a checkpoint; norm_asset chooses its statistics"),
    "use_fp4": Parameter((False,), _FP4),
    "fp4_layers": Parameter((None,), _FP4),
    "use_awq": Parameter((None, False), _FP4),
    "awq_alpha": Parameter((None,), _FP4),
    "use_p1_split_gu": Parameter((None, False), _FP4),
    "use_fp4_decoder": Parameter((False,), _FP4),
    "use_fp4_encoder_attn": Parameter((None, False), _FP4),
    "use_fp4_siglip_ffn": Parameter((None, False), _FP4),
    "use_fa4": Parameter((False,), "attention has one implementation a row set; kernels={\"attention\": ROW} names one"),
    "encoder_p1_combiner": Parameter((None,), _FP4),
    "encoder_down_variant": Parameter((7,), _FP4),
    "decoder_gate_up_variant": Parameter((10,), _FP4),
    "vision_pool_factor": Parameter((None, 1), "every picture token is read; pooling changes the actions"),
    "vision_num_layers": Parameter((None,), "every vision layer runs; leaving some out changes the actions"),
    "cache_frames": Parameter((None, 1), "every call reads its own pictures; reusing old ones changes the actions"),
    "state_prompt_mode": Parameter(("exact",), "a new state costs no recording, so there is one mode, the exact one"),
    "state_prompt_fixed_max_len": Parameter((None,), "a new state costs no recording, so prompts need no fixed length"),
    # FlashRT's own default means FP8 on a GPU; here the precision parameter alone decides.
    "use_fp8": Parameter((True, False), _PRECISION),
    "use_fp16": Parameter((False,), _PRECISION),
}


def check(given: Mapping[str, Any], own: Iterable[str]) -> None:
    """Raises TypeError for an unknown name, naming near ones, and Error for a value that would not be honoured."""
    for name, value in given.items():
        parameter = PARAMETERS.get(name)
        if parameter is None:
            near = difflib.get_close_matches(name, [*PARAMETERS, *own], n=3)
            raise TypeError(f"load_model() has no parameter {name!r}" + (f"; near: {', '.join(near)}" if near else ""))
        if not any(type(value) is type(h) and value == h for h in parameter.honoured):
            taken = " or ".join(repr(h) for h in parameter.honoured)
            raise Error(f"{name}={value!r} is not honoured by this engine (only {taken}): {parameter.instead}")
