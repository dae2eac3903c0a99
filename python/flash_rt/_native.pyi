# SPDX-License-Identifier: Apache-2.0
from os import PathLike
from typing import Any, Optional

import numpy as np
from numpy.typing import NDArray

version: str

class Error(RuntimeError): ...

class LoadOptions:
    config: str
    threads: int
    pin: bool
    isa: str
    kernels: dict[str, str]
    seed: int
    precision: str
    keep: list[str]
    views: int
    horizon: int
    steps: int
    state_prompt_dims: int
    state_in_prompt: Optional[bool]
    pad_value: Optional[float]
    state_dim: int
    action_dim: int
    relative_dims: list[int]
    normalized_actions: bool
    norm_asset: str
    tokenizer: str | PathLike[str]
    random_seed: int
    def __init__(self) -> None: ...

class Policy:
    def predict(
        self,
        pictures: list[Optional[NDArray[np.uint8]]],
        prompt: str,
        state: Optional[NDArray[np.float32]],
        noise: Optional[NDArray[np.float32]],
        seed: Optional[int],
        tokens: list[int],
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], float, float]: ...
    def tokens(self, prompt: str, state: Optional[NDArray[np.float32]]) -> list[int]: ...
    def info(self) -> dict[str, Any]: ...
    def latency(self) -> dict[str, Any]: ...
    def reset_latency(self) -> None: ...

def load_model(checkpoint: str | PathLike[str], options: LoadOptions) -> Policy: ...
def save_random_model(folder: str | PathLike[str], shape: str, options: LoadOptions) -> None: ...
