# SPDX-License-Identifier: Apache-2.0
"""Evaluates a policy directory in a simulator, and compares the engine's actions with the reference's.

    python -m flash_rt.eval metaworld --policy checkpoints/metaworld --precision f32,bf16,int8
    python -m flash_rt.eval compare --policy checkpoints/metaworld
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from pathlib import Path

import numpy as np
from tqdm import tqdm

from . import compare, report
from .card import Card, PolicyMismatch, check_interface, read_card
from .policies import Blind, EnginePolicy, Policy, TorchReference
from .runner import Episode, run_episode

ADAPTERS = {"metaworld": ("metaworld", "MetaWorld"), "libero": ("libero", "Libero")}
PRECISIONS = ("f32", "bf16", "int8")


def adapter(name: str):
    """The adapter's class; only the one that is asked for is imported, with its simulator."""
    module, cls = ADAPTERS[name]
    return getattr(importlib.import_module(f".{module}", __package__), cls)


def listed(text: str) -> list[str]:
    chosen = text.split(",")
    unknown = [p for p in chosen if p not in PRECISIONS]
    if unknown:
        raise argparse.ArgumentTypeError(f"unknown precision {', '.join(unknown)}; choose from {', '.join(PRECISIONS)}")
    return chosen


def warm_up(policy: Policy, environment, card: Card) -> None:
    """Two calls that are not counted, so that the first chunk's time is like the others'."""
    for i in range(2):
        policy.predict(environment.observe(), np.zeros((card.horizon, card.model_action_dim), dtype=np.float32))


def evaluate(cls, card: Card, policy: Policy, tasks: list[str], args: argparse.Namespace, pictures: Path | None,
             seen=None) -> list[Episode]:
    """All episodes; one episode a task is recorded into a GIF, and those into the contact sheet."""
    episodes: list[Episode] = []
    shown: list[Episode] = []
    execute = args.execute or card.execute
    with tqdm(total=len(tasks) * args.episodes, desc=policy.name, unit="episode", dynamic_ncols=True) as bar:
        for task in tasks:
            env = cls(task)
            env.reset(args.first_seed)
            warm_up(policy, env, card)
            for seed in range(args.first_seed, args.first_seed + args.episodes):
                record = pictures is not None and seed == args.first_seed
                episode = run_episode(env, task, policy, seed, execute, args.max_steps or None, 4 if record else 0, seen)
                if record:
                    shown.append(episode)
                    report.write_gif(pictures / f"{task.replace('/', '-')}.gif", episode, cls.fps / 4)
                episodes.append(episode)
                bar.update()
                bar.set_postfix_str(f"{task}: {sum(e.success for e in episodes)}/{len(episodes)} done in all")
            env.close()
    if shown:
        report.write_sheet(pictures / "contact_sheet.png", shown)
    return episodes


def run_simulator(args: argparse.Namespace) -> int:
    cls = adapter(args.command)
    card = read_card(args.policy)
    check_interface(card, cls.interface, args.command)
    known = cls.all_tasks()
    tasks = args.tasks or list(known)
    if unknown := [t for t in tasks if t not in known]:
        raise PolicyMismatch(f"{args.command} has no task {', '.join(unknown)}; it has: {', '.join(known)}")
    args.out.mkdir(parents=True, exist_ok=True)
    runs = {}
    for index, precision in enumerate(args.precision if args.engine == "flashrt" else ["f32"]):
        policy = (EnginePolicy(card, precision, args.threads) if args.engine == "flashrt"
                  else TorchReference(card, args.threads))
        policy = Blind(policy) if args.blind else policy
        began = time.monotonic()
        episodes = evaluate(cls, card, policy, tasks, args, args.out if index == 0 else None)
        result = report.summary(episodes)
        result["seconds"] = time.monotonic() - began
        result["episodes"] = [{"task": e.task, "seed": e.seed, "success": e.success, "steps": e.steps,
                               "chunks": len(e.chunk_ms)} for e in episodes]
        runs[policy.name] = result
        print(report.table(f"\n{policy.name}, {args.command}, {args.execute or card.execute} of {card.horizon} actions a "
                           "chunk", result), flush=True)
        report.write_json(args.out / "report.json", {"policy": args.policy.name, "simulator": args.command,
                                                     "first_seed": args.first_seed, "machine": report.machine(),
                                                     "runs": runs})
    print(f"\nwritten: {args.out / 'report.json'}, {args.out / 'contact_sheet.png'} and a GIF per task")
    return 0


def record(args: argparse.Namespace, card: Card, reference: Policy) -> compare.Recording:
    """`--count` observations spread over the tasks, seen while the reference acts."""
    cls = adapter(args.simulator)
    check_interface(card, cls.interface, args.simulator)
    tasks = list(cls.all_tasks())
    share = -(-args.count // len(tasks))
    chosen = []
    for task in tqdm(tasks, desc="record", unit="task"):
        env, seen, seed = cls(task), [], args.first_seed
        while len(seen) < share:
            run_episode(env, task, reference, seed, card.execute, seen=lambda o, n: seen.append((o, n)))
            seed += 1
        env.close()
        chosen += seen[:share]
    return compare.Recording.of(chosen[:args.count], cls.interface.cameras)


def run_compare(args: argparse.Namespace) -> int:
    card = read_card(args.policy)
    reference = TorchReference(card, args.threads)
    if args.observations and args.observations.exists():
        recording = compare.Recording.load(args.observations)
    else:
        recording = record(args, card, reference)
        if args.observations:
            recording.save(args.observations)

    def run(policy: Policy) -> tuple[np.ndarray, dict]:
        actions, times = [], []
        for i in range(3):
            policy.predict(*recording[i % len(recording)])
        for observation, noise in tqdm(recording, total=len(recording), desc=policy.name):
            began = time.perf_counter()
            actions.append(policy.predict(observation, noise))
            times.append((time.perf_counter() - began) * 1e3)
        return np.stack(actions), report.latency(times)

    expected, took = run(reference)
    results, failures = {"torch f32": {"latency": took}}, []
    for precision in args.precision:
        actions, took = run(EnginePolicy(card, precision, args.threads))
        results[f"flashrt {precision}"] = result = {**compare.error(actions, expected), "latency": took}
        if problem := compare.verdict(precision, result):
            failures.append(problem)
    print(f"\n{len(recording)} observations, actions against the reference (same noise)")
    print(f"{'run':<14} {'rel. L2':>9} {'worst':>9} {'cosine':>10} {'worst':>10} {'p50 ms':>8} {'p99 ms':>8}")
    for name, r in results.items():
        errors = (f"{r['relative_l2']:9.2e} {r['relative_l2_worst']:9.2e} {r['cosine']:10.7f} {r['cosine_worst']:10.7f}"
                  if "cosine" in r else f"{'-':>9} {'-':>9} {'-':>10} {'-':>10}")
        print(f"{name:<14} {errors} {r['latency']['p50_ms']:8.2f} {r['latency']['p99_ms']:8.2f}")
    if args.json:
        report.write_json(args.json, {"observations": len(recording), "machine": report.machine(), "runs": results,
                                      "failures": failures})
    for problem in failures:
        print(f"not good enough: {problem}", file=sys.stderr)
    return 1 if failures else 0


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m flash_rt.eval", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in (*ADAPTERS, "compare"):
        sub = commands.add_parser(name)
        sub.add_argument("--policy", type=Path, required=True, help="policy directory in lerobot's layout")
        sub.add_argument("--precision", type=listed, default=["f32"], help="comma-separated: f32,bf16,int8")
        sub.add_argument("--threads", type=int, default=0, help="CPU threads of the engine or PyTorch (0: all cores)")
        sub.add_argument("--first-seed", type=int, default=0, help="episodes use this seed and the following ones")
        if name == "compare":
            sub.add_argument("--simulator", choices=list(ADAPTERS), default="metaworld")
            sub.add_argument("--observations", type=Path, help=".npz of recorded observations: read, or written if absent")
            sub.add_argument("--count", type=int, default=200)
            sub.add_argument("--json", type=Path, help="write the results here too")
            continue
        sub.add_argument("--tasks", nargs="+", help="default: all")
        sub.add_argument("--episodes", type=int, default=50, help="per task")
        sub.add_argument("--engine", choices=("flashrt", "torch"), default="flashrt")
        sub.add_argument("--blind", action="store_true", help="grey pictures: does the task need looking?")
        sub.add_argument("--execute", type=int, default=0, help="actions executed per chunk (0: the policy's own)")
        sub.add_argument("--max-steps", type=int, default=0, help="end an episode earlier than the simulator does")
        sub.add_argument("--out", type=Path, default=Path("eval_out"), help="folder for the report and pictures")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    args = parse(argv)
    try:
        return run_compare(args) if args.command == "compare" else run_simulator(args)
    except (PolicyMismatch, ModuleNotFoundError, FileNotFoundError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
