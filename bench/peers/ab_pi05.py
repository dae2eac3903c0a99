#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Alternates `flashrt bench pi05 --random` and the PyTorch peer, A B A B, and prints what the engine gains.

A shared machine changes by the minute, so only runs next to each other are compared: each round runs every side once,
a ratio is taken within the round, and the median of the rounds' ratios is the result.
"""

import argparse
import json
import os
import shlex
import statistics
import subprocess
import sys
from pathlib import Path

PEER = Path(__file__).with_name("pi05_torch.py")


def run(command: list[str]) -> dict:
    print("+", shlex.join(command), file=sys.stderr, flush=True)
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit(f"{command[0]} ended with {done.returncode}")
    result = json.loads(done.stdout)
    print(f"  p50 {result['p50_ms']:.0f} ms, peak {result['peak_gops']:.0f} GOP/s", file=sys.stderr, flush=True)
    return result


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("flashrt", help="the flashrt command, for example build/cpu/flashrt")
    p.add_argument("--python", default=sys.executable, help="a Python that has requirements.txt installed")
    p.add_argument("--rounds", type=int, default=2)
    p.add_argument("--reps", type=int, default=2, help="calls a side and round")
    p.add_argument("--precision", default="bf16,int8", help="of the engine; the peer runs in bf16")
    p.add_argument("--mode", default="eager,compile", help="of the peer")
    p.add_argument("--views", type=int, default=2)
    p.add_argument("--prompt-tokens", type=int, default=16)
    p.add_argument("--steps", type=int, default=10)
    p.add_argument("--horizon", type=int, default=50)
    p.add_argument("--threads", type=int, default=os.cpu_count())
    p.add_argument("--json", type=Path, help="also write every run's JSON object, as a list, to this file")
    args = p.parse_args()
    shape = []
    for flag in ("views", "prompt_tokens", "steps", "horizon", "threads", "reps"):
        shape += ["--" + flag.replace("_", "-"), str(getattr(args, flag))]
    bench = [args.flashrt, "bench", "pi05", "--random", "--precision"]
    ours = {f"flashrt {q}": [*bench, q] for q in args.precision.split(",")}
    peers = {f"torch bf16 {m}": [args.python, str(PEER), "--mode", m] for m in args.mode.split(",")}
    sides = {name: [*command, *shape, "--json"] for name, command in (ours | peers).items()}

    rounds: list[dict[str, dict]] = []
    for _ in range(args.rounds):
        rounds.append({name: run(command) for name, command in sides.items()})
    if args.json:
        args.json.write_text(json.dumps([r for one in rounds for r in one.values()], indent=2) + "\n")
    for name in sides:
        runs = [r[name] for r in rounds]
        samples = sorted(s for r in runs for s in r["samples_ms"])
        median = {s: statistics.median(r[s + "_ms"] for r in runs) for s in ("vision", "prefix", "denoise")}
        stages = ", ".join(f"{s} {ms:.0f}" for s, ms in median.items())
        peak = max(r["peak_gops"] for r in runs)
        listed = " ".join(f"{s:.0f}" for s in samples)
        print(f"{name:20} p50 {statistics.median(samples):.0f} ms ({stages}); peak {peak:.0f} GOP/s; calls {listed}")
    for a in ours:
        for b in peers:
            ratios = [r[b]["p50_ms"] / r[a]["p50_ms"] for r in rounds]
            listed = " ".join(f"{x:.2f}" for x in ratios)
            print(f"{a} takes 1/{statistics.median(ratios):.2f} of the time of {b} (rounds: {listed})")


if __name__ == "__main__":
    main()
