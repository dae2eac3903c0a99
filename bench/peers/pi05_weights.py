# SPDX-License-Identifier: Apache-2.0
"""Where the peer's weights come from: a safetensors file, or random values of the declared shapes."""

from pathlib import Path

import torch
from torch import Tensor, nn


class Weights:
    """Makes modules of tensors that `tensor` gives; a subclass says where those come from."""

    def __init__(self, dtype: torch.dtype):
        self.dtype = dtype

    def tensor(self, name: str, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        raise NotImplementedError

    def constant(self, name: str, shape: tuple[int, ...]) -> nn.Parameter:
        return nn.Parameter(self.tensor(name, shape, self.dtype), requires_grad=False)

    def offset_gain(self, name: str, width: int) -> nn.Parameter:
        gain = 1 + self.tensor(name, (width,), torch.float32)
        return nn.Parameter(gain.to(self.dtype), requires_grad=False)

    def linear(self, names: list[str], rows: list[int], K: int, bias: bool = False, dtype: torch.dtype | None = None):
        """One Linear of several stored ones, their outputs one after the other."""
        dtype = dtype or self.dtype
        linear = nn.Linear(K, sum(rows), bias=bias, device="meta", dtype=dtype)
        parts = [self.tensor(n + ".weight", (r, K), dtype) for n, r in zip(names, rows, strict=True)]
        linear.weight = nn.Parameter(torch.cat(parts) if len(parts) > 1 else parts[0], requires_grad=False)
        if bias:
            parts = [self.tensor(n + ".bias", (r,), dtype) for n, r in zip(names, rows, strict=True)]
            linear.bias = nn.Parameter(torch.cat(parts), requires_grad=False)
        return linear

    def layer_norm(self, name: str, width: int) -> nn.LayerNorm:
        norm = nn.LayerNorm(width, eps=1e-6, device="meta", dtype=self.dtype)
        norm.weight = self.constant(name + ".weight", (width,))
        norm.bias = self.constant(name + ".bias", (width,))
        return norm


class RandomWeights(Weights):
    """Values of one fixed pool, scaled so that activations keep their size: their arithmetic is as slow as any."""

    def __init__(self, dtype: torch.dtype):
        super().__init__(dtype)
        # A prime length, so that rows of one tensor differ.
        self.pool = torch.randn(4194301, generator=torch.Generator().manual_seed(0))
        self.at = 0

    def tensor(self, name, shape, dtype):
        out = torch.empty(shape, dtype=dtype)
        flat, scale = out.view(-1), shape[-1] ** -0.5 if len(shape) > 1 else 0.1
        pool = (self.pool * scale).to(dtype)
        done = 0
        while done < flat.numel():
            n = min(flat.numel() - done, pool.numel() - self.at)
            flat[done : done + n] = pool[self.at : self.at + n]
            done, self.at = done + n, (self.at + n) % pool.numel()
        if name.endswith("norm1.weight") or name.endswith("norm2.weight") or name.endswith("post_layernorm.weight"):
            out += 1
        return out


class StoredWeights(Weights):
    """A checkpoint in the lerobot or openpi layout; the outer `model.` is optional."""

    def __init__(self, file: Path, dtype: torch.dtype):
        from safetensors.torch import load_file

        super().__init__(dtype)
        self.stored = {name.removeprefix("model."): t for name, t in load_file(file).items()}

    def tensor(self, name, shape, dtype):
        found = self.stored[name]
        if name.endswith("patch_embedding.weight"):
            found = found.flatten(1)  # [D, 3, p, p]: the order of the peer's patches
        if tuple(found.shape) != tuple(shape):
            raise ValueError(f"{name} is {tuple(found.shape)} in the checkpoint, {tuple(shape)} is expected")
        return found.to(dtype).contiguous()
