#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Times pi0.5 at its real shapes, random weights, in PyTorch on the CPU: the peer of `flashrt bench pi05 --random`.

Prints one JSON object a line, one for each mode, with the keys of `flashrt bench --json`. `--verify` instead compares
the same code with the committed goldens, which upstream's own implementation made.
"""

import argparse
import json
import math
import os
import platform
import resource
import subprocess
import sys
import time
from pathlib import Path

MODES = ("eager", "compile")


def arguments() -> argparse.Namespace:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--views", type=int, default=2)
    p.add_argument("--prompt-tokens", type=int, default=16, help="real tokens; padding is dropped")
    p.add_argument("--steps", type=int, default=10)
    p.add_argument("--horizon", type=int, default=50)
    p.add_argument("--threads", type=int, default=os.cpu_count())
    p.add_argument("--reps", type=int, default=5)
    p.add_argument("--warmup", type=int, default=1)
    p.add_argument("--precision", choices=("bf16", "f32"), default="bf16")
    p.add_argument("--mode", default="eager,compile", help="one or both of eager, compile")
    p.add_argument("--json", action="store_true", help="the only form; taken so that both sides share flags")
    p.add_argument("--verify", action="store_true", help="compare with the goldens instead of timing")
    golden = Path(__file__).resolve().parents[2] / "flashrt/models/pi05/golden/lerobot_tiny"
    p.add_argument("--golden", type=Path, default=golden)
    args = p.parse_args()
    args.mode = args.mode.split(",")
    if unknown := set(args.mode) - set(MODES):
        p.error(f"--mode {','.join(unknown)}: not one of {', '.join(MODES)}")
    if not 1 <= args.views <= 3:
        p.error("--views: 1 to 3")
    return args


def quantile(samples: list[float], q: float) -> float:
    """Nearest rank, as `flashrt bench` has it."""
    ordered = sorted(samples)
    return ordered[max(0, math.ceil(q * len(ordered)) - 1)]


def cpu_name() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def figure(value: float) -> float:
    return float(f"{value:.6g}")


def now_ms() -> float:
    return time.perf_counter() * 1e3


class Peak:
    """The most this torch reaches with a matmul of the working type, among the model's own shapes, in GFLOP/s."""

    SHAPES = ((512, 1152, 4304), (528, 2048, 16384), (528, 16384, 2048))  # M, K, N

    def __init__(self, dtype):
        import torch

        self.pairs = [(torch.ones(M, K, dtype=dtype), torch.ones(N, K, dtype=dtype)) for M, K, N in self.SHAPES]
        self.samples: list[float] = []

    def measure(self) -> None:
        import torch.nn.functional as F

        best = 0.0
        for a, b in self.pairs * 4:
            start = now_ms()
            F.linear(a, b)
            best = max(best, 2 * a.numel() * len(b) / (now_ms() - start) / 1e6)
        self.samples.append(best)


def bench(args: argparse.Namespace, mode: str) -> dict:
    import torch

    import pi05_model as pi05
    from pi05_weights import RandomWeights

    start = now_ms()
    torch.set_num_threads(args.threads)
    dtype = {"bf16": torch.bfloat16, "f32": torch.float32}[args.precision]
    c = pi05.FULL
    model = pi05.Pi05(RandomWeights(dtype), c, args.steps)
    parameters, weight_mib = model.parameters(), model.weight_bytes() / 2**20
    load_ms = now_ms() - start
    if mode == "compile":
        model.compile()
    g = torch.Generator().manual_seed(1)
    images = (torch.rand(args.views, 3, c.image, c.image, generator=g) * 2 - 1).to(dtype)
    tokens = torch.randint(c.vocabulary, (args.prompt_tokens,), generator=g)
    noise = torch.randn(args.horizon, c.action_dim, generator=g)
    P = args.views * c.view_tokens + args.prompt_tokens
    rotary, suffix_rotary = model.rotary(0, P), model.rotary(P, args.horizon)

    def call() -> tuple[list[float], torch.Tensor]:
        at = [now_ms()]
        features = model.vision(images)
        at.append(now_ms())
        keys, values = model.prefix(features, tokens, *rotary)
        at.append(now_ms())
        actions = model.denoise(noise, keys, values, suffix_rotary)
        at.append(now_ms())
        return [b - a for a, b in zip(at, at[1:])], actions

    with torch.no_grad():
        before = now_ms()
        _, actions = call()
        first_ms, load_to_action_ms = now_ms() - before, now_ms() - start
        if not actions.isfinite().all():
            raise SystemExit("the actions are not finite: the timing would mean nothing")
        for _ in range(1, args.warmup):  # the first call is one
            call()
        peak, stages = Peak(dtype), []
        peak.measure()
        for _ in range(args.reps):
            stages.append(call()[0])
            peak.measure()
    samples = [sum(s) for s in stages]
    work = pi05.flops(c, args.views, args.prompt_tokens, args.horizon, args.steps)
    total, best_peak, p50 = sum(work.values()), max(peak.samples), quantile(samples, 0.5)
    rss_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    out = {
        "model": "pi05",
        "engine": f"torch {torch.__version__} {mode}",
        "shape": "full",
        "source": "random",
        "precision": args.precision,
        "threads": args.threads,
        "views": args.views,
        "prompt_tokens": args.prompt_tokens,
        "steps": args.steps,
        "horizon": args.horizon,
        "min_ms": min(samples),
        "p50_ms": p50,
        "p95_ms": quantile(samples, 0.95),
        "p99_ms": quantile(samples, 0.99),
        "first_ms": first_ms,
        "load_ms": load_ms,
        "load_to_action_ms": load_to_action_ms,
        "flops": total,
        "math": args.precision,
        "peak_gops": best_peak,
        "share_of_peak": total / p50 / 1e6 / best_peak,
        "share_of_peak_min": total / min(samples) / 1e6 / best_peak,
        "parameters": parameters,
        "weight_mib": weight_mib,
        "rss_mib": rss_mib,
        "rss_over_weights": rss_mib / weight_mib,
    }
    for i, stage in enumerate(("vision", "prefix", "denoise")):
        out[f"{stage}_ms"] = quantile([s[i] for s in stages], 0.5)
    out = {k: figure(v) if isinstance(v, float) else v for k, v in out.items()}
    out["cpu"] = cpu_name()
    out["samples_ms"] = [figure(s) for s in samples]
    out["peak_samples_gops"] = [figure(s) for s in peak.samples]
    return out


def main() -> None:
    args = arguments()
    if args.verify:
        import pi05_verify

        raise SystemExit(pi05_verify.verify(args.golden, args.mode))
    if len(args.mode) == 1:
        print(json.dumps(bench(args, args.mode[0])), flush=True)
        return
    # A process for each mode: memory in use and the state of the compiler are its own.
    base = [a for i, a in enumerate(sys.argv[1:]) if not (a.startswith("--mode") or sys.argv[i] == "--mode")]
    for mode in args.mode:
        subprocess.run([sys.executable, __file__, *base, "--mode", mode], check=True)


if __name__ == "__main__":
    main()
