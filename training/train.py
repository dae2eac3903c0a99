# SPDX-License-Identifier: Apache-2.0
"""Trains the small pi0.5 by imitation: flow matching on the expert's next actions, seen through two cameras.

Writes log.csv, curves.png and, every `--save-every` steps, a resumable state; at the end the averaged weights.
"""

from __future__ import annotations

import argparse
import csv
import math
import time
from dataclasses import dataclass, field
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

from dataset import Dataset
from model import ModelConfig, Pi05


@dataclass
class TrainConfig:
    steps: int = 6000
    batch: int = 512
    flows: int = 4  # noise and time samples per observation: the expert is cheap beside the prefix
    rate: float = 1e-3
    warmup: int = 300
    weight_decay: float = 0.02
    clip: float = 1.0
    average: float = 0.999
    shift: int = 3  # pixels
    auxiliary: float = 0.2
    seed: int = 0
    compile: bool = False
    save_every: int = 1000


class PlaceHead(nn.Module):
    """Training only: reads object and goal coordinates off the image tokens, so that the tower learns to localise."""

    def __init__(self, c: ModelConfig, heads: int = 16, outputs: int = 6):
        super().__init__()
        side = c.image_size // c.patch
        grid = torch.linspace(-1.0, 1.0, side)
        self.register_buffer("grid", torch.stack(torch.meshgrid(grid, grid, indexing="ij"), -1).flatten(0, 1))
        self.look = nn.Linear(c.width, heads)
        self.value = nn.Linear(c.width, 32)
        self.out = nn.Sequential(nn.Linear(c.cameras * heads * 34 + 4, 256), nn.GELU(), nn.Linear(256, outputs))

    def forward(self, tokens: Tensor, states: Tensor) -> Tensor:  # [B, V, T, D], [B, 4]
        weight = self.look(tokens).softmax(dim=2)  # [B, V, T, heads]
        grid = self.grid.to(tokens.dtype).expand(*tokens.shape[:2], -1, -1)
        seen = torch.cat((self.value(tokens), grid), dim=-1)
        return self.out(torch.cat((torch.einsum("bvth,bvtc->bvhc", weight, seen).flatten(1), states), dim=-1))


def augment(images: Tensor, shift: int) -> Tensor:
    """[B, V, S, S, 3] uint8 -> [B, V, 3, S, S] in about [-1, 1], shifted, with changed colours and noise."""
    batch, views, size = images.shape[:3]
    device = images.device
    index = torch.arange(size, device=device)
    dy, dx = torch.randint(-shift, shift + 1, (2, batch, views, 1), device=device)
    rows, cols = (index + dy).clamp(0, size - 1), (index + dx).clamp(0, size - 1)
    b = torch.arange(batch, device=device)[:, None, None, None]
    v = torch.arange(views, device=device)[None, :, None, None]
    x = images[b, v, rows[..., :, None], cols[..., None, :]].float() / 255.0

    def jitter(amount: float) -> Tensor:
        return 1.0 + (torch.rand(batch, views, 1, 1, 1, device=device) * 2.0 - 1.0) * amount

    x = x * jitter(0.2)
    mean = x.mean(dim=(2, 3, 4), keepdim=True)
    x = (x - mean) * jitter(0.2) + mean
    grey = x.mean(dim=-1, keepdim=True)
    x = (x - grey) * jitter(0.2) + grey
    x = (x + torch.randn_like(x) * 0.02).clamp(0.0, 1.0)
    return (x * 2.0 - 1.0).permute(0, 1, 4, 2, 3)


class Losses(nn.Module):
    """The training objective as one module (so that it can be compiled as a whole)."""

    def __init__(self, model: Pi05, head: PlaceHead, flows: int):
        super().__init__()
        self.model, self.head, self.flows = model, head, flows

    def forward(self, images: Tensor, tokens: Tensor, valid: Tensor, states: Tensor, actions: Tensor, places: Tensor,
                noise: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        image_tokens = self.model.embed_images(images)
        kept, present = self.model.prefix(image_tokens, tokens, valid)
        k = self.flows
        kept = [(a.repeat_interleave(k, 0), b.repeat_interleave(k, 0)) for a, b in kept]
        target = actions.repeat_interleave(k, 0)
        x = t[:, None, None] * noise + (1.0 - t[:, None, None]) * target
        v = self.model.velocity(x, t, kept, present.repeat_interleave(k, 0))
        flow = F.mse_loss(v.float(), noise - target)
        return flow, F.mse_loss(self.head(image_tokens, states).float(), places)


@dataclass
class Trainer:
    model: Pi05
    data: Dataset
    config: TrainConfig
    out: Path
    device: str
    head: PlaceHead | None = None
    step: int = 0
    rows: list[dict] = field(default_factory=list)

    def __post_init__(self) -> None:
        c = self.config
        torch.manual_seed(c.seed)
        if self.head is None:
            self.head = PlaceHead(self.model.c).to(self.device)
        self.losses = Losses(self.model, self.head, c.flows)
        decayed = [p for p in self.losses.parameters() if p.ndim > 1]
        plain = [p for p in self.losses.parameters() if p.ndim <= 1]
        self.optimiser = torch.optim.AdamW(
            [{"params": decayed, "weight_decay": c.weight_decay}, {"params": plain, "weight_decay": 0.0}],
            lr=c.rate, betas=(0.9, 0.95), fused=self.device == "cuda")
        self.averaged = {n: p.detach().clone() for n, p in self.model.named_parameters()}
        # Tasks are drawn equally often, whatever the length of their episodes.
        names = sorted(set(self.data.tasks))
        count = {n: self.data.tasks.count(n) for n in names}
        self.weights = torch.tensor([1.0 / count[t] for t in self.data.tasks], device=self.device)
        self.cumulative = self.weights.double().cumsum(0) / self.weights.double().sum()
        self.phrasings = self.data.tokens.shape[1]
        self.time = torch.distributions.Beta(torch.tensor(1.5, device=self.device), torch.tensor(1.0, device=self.device))

    def rate(self) -> float:
        c = self.config
        if self.step < c.warmup:
            return c.rate * (self.step + 1) / c.warmup
        progress = (self.step - c.warmup) / max(1, c.steps - c.warmup)
        return c.rate * (0.02 + 0.98 * 0.5 * (1.0 + math.cos(math.pi * progress)))

    def batch(self) -> tuple[Tensor, ...]:
        c, d = self.config, self.data
        i = torch.searchsorted(self.cumulative, torch.rand(c.batch, device=self.device, dtype=torch.float64))
        i = i.clamp(max=len(d) - 1)
        j = torch.randint(self.phrasings, (c.batch,), device=self.device)
        # About half of the moments use the instruction that the evaluation uses.
        j = torch.where(torch.rand(c.batch, device=self.device) < 0.3, 0, j)
        tokens = d.tokens[i, j].long()
        valid = torch.arange(tokens.shape[1], device=self.device) < d.lengths[i, j].long()[:, None]
        actions = d.actions[i]
        repeated = c.batch * c.flows
        noise = torch.randn(repeated, *actions.shape[1:], device=self.device)
        t = self.time.sample((repeated,)) * 0.999 + 0.001
        return augment(d.images[i], c.shift), tokens, valid, d.states[i], actions, d.places[i], noise, t

    def save(self) -> None:
        """The resumable state; loaded back with weights_only, so nothing in it can run code."""
        # Batches are drawn on the device: there its generators go on, not the CPU's.
        cuda = torch.cuda.get_rng_state_all() if self.device == "cuda" else []
        half = self.out / "state.half"
        torch.save({"model": self.model.state_dict(), "head": self.head.state_dict(), "averaged": self.averaged,
                    "optimiser": self.optimiser.state_dict(), "step": self.step, "rows": self.rows,
                    "random": torch.get_rng_state(), "cuda_random": cuda}, half)
        half.replace(self.out / "state.pt")  # an interruption leaves the state before

    def resume(self) -> None:
        state = torch.load(self.out / "state.pt", map_location=self.device, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.head.load_state_dict(state["head"])
        self.averaged = state["averaged"]
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.rows = state["step"], state["rows"]
        torch.set_rng_state(state["random"].cpu())
        for i, random in enumerate(state.get("cuda_random", [])[:torch.cuda.device_count()]):
            torch.cuda.set_rng_state(random.cpu(), i)

    def run(self) -> dict[str, Tensor]:
        """Trains to the last step; returns the averaged weights."""
        c = self.config
        self.out.mkdir(parents=True, exist_ok=True)
        losses = torch.compile(self.losses) if c.compile else self.losses
        params = [p for p in self.losses.parameters()]
        names = [n for n, _ in self.model.named_parameters()]
        current = [p for _, p in self.model.named_parameters()]
        bar = tqdm(total=c.steps, initial=self.step, desc="train", mininterval=10.0)
        began = time.monotonic()
        while self.step < c.steps:
            for group in self.optimiser.param_groups:
                group["lr"] = self.rate()
            with torch.autocast(self.device, dtype=torch.bfloat16):
                flow, place = losses(*self.batch())
                loss = flow + c.auxiliary * place
            loss.backward()
            norm = nn.utils.clip_grad_norm_(params, c.clip)
            self.optimiser.step()
            self.optimiser.zero_grad(set_to_none=True)
            decay = min(c.average, (self.step + 1) / (self.step + 10))
            with torch.no_grad():
                torch._foreach_lerp_([self.averaged[n] for n in names], current, 1.0 - decay)
            if self.step % 50 == 0 or self.step == c.steps - 1:
                row = {"flow": flow.item(), "place": place.item(), "norm": norm.item(), "rate": self.rate()}
                self.rows.append({"step": self.step, **row, "seconds": time.monotonic() - began})
                bar.set_postfix(flow=f"{row['flow']:.4f}", place=f"{row['place']:.4f}")
                if not math.isfinite(row["flow"] + row["place"]):
                    raise FloatingPointError(f"the loss is not finite at step {self.step}: lower the rate")
            self.step += 1
            bar.update()
            if self.step % c.save_every == 0:
                self.save()
        bar.close()
        self.save()
        write_log(self.rows, self.out)
        return {n: p.float() for n, p in self.averaged.items()}


def write_log(rows: list[dict], out: Path) -> None:
    """log.csv and curves.png."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    with open(out / "log.csv", "w", newline="") as f:
        writer = csv.DictWriter(f, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    figure, axes = pyplot.subplots(1, 3, figsize=(13, 3.5))
    for axis, name, title in zip(axes, ("flow", "place", "rate"), ("flow matching loss", "place loss", "learning rate")):
        axis.plot([r["step"] for r in rows], [r[name] for r in rows], linewidth=1)
        axis.set(title=title, xlabel="step", yscale="linear" if name == "rate" else "log")
        axis.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(out / "curves.png", dpi=90)
    pyplot.close(figure)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    for name, default in vars(TrainConfig()).items():
        if isinstance(default, bool):
            parser.add_argument(f"--{name}", action="store_true")
        else:
            parser.add_argument(f"--{name.replace('_', '-')}", type=type(default), default=default)


def from_arguments(args: argparse.Namespace) -> TrainConfig:
    return TrainConfig(**{name: getattr(args, name) for name in vars(TrainConfig())})
