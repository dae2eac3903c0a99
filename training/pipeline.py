# SPDX-License-Identifier: Apache-2.0
"""From nothing to a policy directory: demonstrations, training, corrections of the policy by the expert, evaluation.

Stages: (1) scripted demonstrations, (2) training, (3) optionally, the policy acts and the expert takes over from
where it went (only the expert's part is recorded), (4) training goes on with both, (5) a closed-loop check.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

import paths  # noqa: F401
import train as training
from collect import FIRST_TRAINING_SEED, collect
from dataset import build
from export import export
from flash_rt.eval.metaworld import TASKS, MetaWorld
from instructions import PARAPHRASES
from model import ModelConfig, Pi05
from policy import TorchPolicy
from prompt import Tokenizer, train_tokenizer
from workers import run_jobs

PROMPT_LENGTH, TRAINED_LENGTH = 48, 40
CHECK_SEED = 900_000  # the closed-loop check while developing; the published evaluation uses seeds from 0


def say(text: str, began: float = time.monotonic()) -> None:
    print(f"[{time.monotonic() - began:7.1f} s] {text}", flush=True)


def acting(policy: TorchPolicy, execute: int):
    """A batch policy for the simulator processes: fresh noise, the first `execute` actions of each chunk."""
    rng = np.random.default_rng(0)
    c = policy.model.c

    def predict(images: np.ndarray, states: np.ndarray, prompts: list[str]) -> np.ndarray:
        count = 1 << max(0, len(images) - 1).bit_length()  # few batch sizes, so that kernels are chosen once
        index = np.arange(count).clip(max=len(images) - 1)
        noise = rng.standard_normal((count, c.horizon, c.action_dim)).astype(np.float32)
        chunk = policy.batch(images[index], states[index], [prompts[i] for i in index], noise)
        return chunk[:len(images), :execute]

    return predict


def check(policy: TorchPolicy, execute: int, tasks: list[str], episodes: int, workers: int) -> dict[str, float]:
    wins, steps = {t: [] for t in tasks}, []

    def done(job, result) -> None:
        wins[job[1]].append(result[0])
        steps.append(result[1])

    jobs = [("rollout", t, CHECK_SEED + i) for t in tasks for i in range(episodes)]
    c = policy.model.c
    run_jobs(jobs, workers, c.horizon, c.image_size, done, acting(policy, execute))
    rates = {t: float(np.mean(w)) for t, w in wins.items()}
    say(f"closed loop, {episodes} episodes a task, {execute} actions a chunk: mean {np.mean(list(rates.values())):.3f}, "
        f"mean steps {np.mean(steps):.0f}; " + ", ".join(f"{t} {r:.2f}" for t, r in rates.items()))
    return rates


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="working folder: data, logs, states, policy/")
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=list(TASKS))
    parser.add_argument("--episodes", type=int, default=300, help="demonstrations tried per task")
    parser.add_argument("--corrections", type=int, default=0, help="corrected episodes tried per task")
    parser.add_argument("--correction-steps", type=int, default=3000, help="training steps after the corrections")
    parser.add_argument("--check-episodes", type=int, default=20)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--execute", type=int, default=8, help="actions executed per chunk")
    parser.add_argument("--euler-steps", type=int, default=10)
    parser.add_argument("--collect-seconds", type=float, default=float("inf"), help="stop collecting after this time")
    parser.add_argument("--threads", type=int, default=0, help="PyTorch's CPU threads (0: its own choice)")
    parser.add_argument("--resume", action="store_true", help="go on from the state saved in --out")
    training.add_arguments(parser)
    args = parser.parse_args()
    config = training.from_arguments(args)
    if args.threads:
        torch.set_num_threads(args.threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.backends.cuda.matmul.allow_tf32 = True
    out: Path = args.out
    out.mkdir(parents=True, exist_ok=True)
    c = ModelConfig()
    (out / "run.json").write_text(json.dumps({"model": c.to_dict(), "train": vars(config), "tasks": args.tasks,
                                              "arguments": {k: str(v) for k, v in vars(args).items()}}, indent=2))

    folders = [out / "demonstrations"]
    if not folders[0].exists():
        say(str(collect(folders[0], args.tasks, args.episodes, args.workers, c.horizon, c.image_size,
                        stop_after=args.collect_seconds)))
    vocabulary = out / "tokenizer.model"
    train_tokenizer([p for phrasings in PARAPHRASES.values() for p in phrasings], vocabulary, c.vocab)
    tokenizer = Tokenizer(vocabulary, PROMPT_LENGTH)

    stats, head = None, None
    torch.manual_seed(config.seed)
    model = Pi05(c).to(device)
    stages = [("first", config)]
    if args.corrections:
        stages.append(("second", replace(config, steps=args.correction_steps, rate=config.rate * 0.5, warmup=100,
                                         seed=config.seed + 1)))
    for index, (name, stage) in enumerate(stages):
        if index == 1:
            folders.append(out / "corrections")
            if not folders[1].exists():
                say(str(collect(folders[1], args.tasks, args.corrections, args.workers, c.horizon, c.image_size,
                                FIRST_TRAINING_SEED * 2, acting(policy, args.execute), args.collect_seconds)))
        data, stats = build(folders, tokenizer, stats, c.action_dim, TRAINED_LENGTH, device)
        say(f"{len(data)} moments from {', '.join(f.name for f in folders)}")
        trainer = training.Trainer(model, data, stage, out / name, device, head)
        head = trainer.head
        if args.resume and (out / name / "state.pt").exists():
            trainer.resume()
        weights = trainer.run()
        say(f"{name} training done: {trainer.rows[-1]}")
        export(out / "policy", weights, c, stats, vocabulary, MetaWorld.interface.cameras,
               MetaWorld.interface.state_dim, MetaWorld.interface.action_dim, args.execute, args.euler_steps,
               PROMPT_LENGTH)
        policy = TorchPolicy.load(out / "policy", device)
        rates = check(policy, args.execute, args.tasks, args.check_episodes, args.workers)
        (out / f"check-{name}.json").write_text(json.dumps(rates, indent=2))
        model.load_state_dict(policy.model.state_dict())


if __name__ == "__main__":
    main()
