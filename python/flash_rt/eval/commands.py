# SPDX-License-Identifier: Apache-2.0
"""What the commands do: episodes in a simulator with their report, and the comparison with the reference."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
from tqdm import tqdm

from . import compare, report
from .card import Card, PolicyMismatch, check_interface
from .environment import Interface, adapter
from .policies import Blind, EnginePolicy, Policy, TorchReference
from .runner import Episode, run_episode


def actions_executed(args: argparse.Namespace, card: Card) -> int:
    """How many actions of a chunk are executed: what was asked for, else the policy's own number."""
    if args.execute > card.horizon:
        raise PolicyMismatch(f"--execute {args.execute}: a chunk of this policy has {card.horizon} actions")
    return args.execute or card.execute


def output_folder(path: Path) -> Path:
    if path.exists() and not path.is_dir():
        raise NotADirectoryError(f"--out {path} is a file: name a folder, new or not")
    path.mkdir(parents=True, exist_ok=True)
    return path


def warm_up(policy: Policy, environment, card: Card) -> None:
    """Two calls that are not counted, so that the first chunk's time is like the others'."""
    for i in range(2):
        policy.predict(environment.observe(), np.zeros((card.horizon, card.model_action_dim), dtype=np.float32))


def evaluate(cls, card: Card, policy: Policy, tasks: list[str], args: argparse.Namespace, pictures: Path | None,
             seen=None) -> list[Episode]:
    """All episodes; one episode a task is recorded into a GIF, and those into the contact sheet."""
    episodes: list[Episode] = []
    shown: list[Episode] = []
    execute = actions_executed(args, card)
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


def run_simulator(args: argparse.Namespace, card: Card) -> int:
    execute = actions_executed(args, card)
    cls = adapter(args.command)
    check_interface(card, cls.interface, args.command)
    known = cls.all_tasks()
    tasks = args.tasks or list(known)
    if unknown := [t for t in tasks if t not in known]:
        raise PolicyMismatch(f"{args.command} has no task {', '.join(unknown)}; it has: {', '.join(known)}")
    out = output_folder(args.out)
    runs = {}
    for index, precision in enumerate(args.precision if args.engine == "flashrt" else ["f32"]):
        policy = (EnginePolicy(card, precision, args.threads) if args.engine == "flashrt"
                  else TorchReference(card, args.threads))
        policy = Blind(policy) if args.blind else policy
        began = time.monotonic()
        episodes = evaluate(cls, card, policy, tasks, args, out if index == 0 else None)
        result = report.summary(episodes)
        result["seconds"] = time.monotonic() - began
        result["episodes"] = [{"task": e.task, "seed": e.seed, "success": e.success, "steps": e.steps,
                               "chunks": len(e.chunk_ms)} for e in episodes]
        runs[policy.name] = result
        print(report.table(f"\n{policy.name}, {args.command}, {execute} of {card.horizon} actions a chunk",
                           result), flush=True)
        report.write_json(out / "report.json", {"policy": args.policy.name, "simulator": args.command,
                                                "first_seed": args.first_seed, "machine": report.machine(), "runs": runs})
    print(f"\nwritten: {out / 'report.json'}, {out / 'contact_sheet.png'} and a GIF per task")
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


def check_recording(recording: compare.Recording, card: Card, path: Path) -> None:
    """Raises PolicyMismatch unless the recording is of this policy's cameras, state and noise."""
    check_interface(card, Interface(recording.cameras, recording.states.shape[1], card.action_dim), str(path))
    wanted = (card.horizon, card.model_action_dim)
    if recording.noise.shape[1:] != wanted:
        raise PolicyMismatch(f"{path} holds noise of {list(recording.noise.shape[1:])} a chunk, the policy takes "
                             f"{list(wanted)}: record anew under another name")


def observations(args: argparse.Namespace, card: Card) -> tuple[compare.Recording, Policy]:
    """The recording that was named, else a new one; with the reference that acted or will."""
    path = args.observations
    if path is None or not path.exists():
        reference = TorchReference(card, args.threads)
        recording = record(args, card, reference)
        if path is not None:
            recording.save(path)
        return recording, reference
    recording = compare.Recording.load(path)
    check_recording(recording, card, path)
    return recording, TorchReference(card, args.threads)


def run_compare(args: argparse.Namespace, card: Card) -> int:
    for path in (args.observations, args.json):  # found out before the minutes of running, not after them
        if path is not None and not path.parent.is_dir():
            raise FileNotFoundError(f"{path} cannot be written: there is no folder {path.parent}")
    recording, reference = observations(args, card)

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
