# SPDX-License-Identifier: Apache-2.0
"""Evaluates a policy directory in a simulator, and compares the engine's actions with the reference's.

    python -m flash_rt.eval metaworld --policy checkpoints/metaworld --precision f32,bf16,int8
    python -m flash_rt.eval compare --policy checkpoints/metaworld
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from flash_rt import Error

from .card import read_card
from .environment import ADAPTERS, needing

PRECISIONS = ("f32", "bf16", "int8")


def listed(text: str) -> list[str]:
    chosen = text.split(",")
    unknown = [p for p in chosen if p not in PRECISIONS]
    if unknown:
        raise argparse.ArgumentTypeError(f"unknown precision {', '.join(unknown)}; choose from {', '.join(PRECISIONS)}")
    return chosen


def whole(least: int):
    """The argument type of whole numbers from `least`."""

    def number(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {least}")
        return int(text)

    return number


def recording(text: str) -> Path:
    """A path that ends in .npz, which numpy would append when it writes."""
    return Path(text if text.endswith(".npz") else text + ".npz")


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m flash_rt.eval", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in (*ADAPTERS, "compare"):
        sub = commands.add_parser(name)
        sub.add_argument("--policy", type=Path, required=True, help="policy directory in lerobot's layout")
        sub.add_argument("--precision", type=listed, default=["f32"], help="comma-separated: f32,bf16,int8")
        sub.add_argument("--threads", type=whole(0), default=0, help="CPU threads of the engine or PyTorch (0: all cores)")
        sub.add_argument("--first-seed", type=whole(0), default=0, help="episodes use this seed and the following ones")
        if name == "compare":
            sub.add_argument("--simulator", choices=list(ADAPTERS), default="metaworld")
            sub.add_argument("--observations", type=recording, help=".npz of recorded observations: read, or written if absent")
            sub.add_argument("--count", type=whole(1), default=200, help="observations to record")
            sub.add_argument("--json", type=Path, help="write the results here too")
            continue
        sub.add_argument("--tasks", nargs="+", help="default: all")
        sub.add_argument("--episodes", type=whole(1), default=50, help="per task")
        sub.add_argument("--engine", choices=("flashrt", "torch"), default="flashrt")
        sub.add_argument("--blind", action="store_true", help="grey pictures: does the task need looking?")
        sub.add_argument("--execute", type=whole(0), default=0, help="actions executed per chunk (0: the policy's own)")
        sub.add_argument("--max-steps", type=whole(0), default=0,
                         help="end an episode earlier than the simulator does (0: do not)")
        sub.add_argument("--out", type=Path, default=Path("eval_out"), help="folder for the report and pictures")
    args = parser.parse_args(argv)
    if getattr(args, "engine", "flashrt") == "torch" and args.precision != ["f32"]:
        parser.error(f"--engine torch runs f32 alone, not {','.join(args.precision)}: leave --precision out, or take the engine")
    return args


def run(args: argparse.Namespace) -> int:
    card = read_card(args.policy)  # before anything is imported that may be missing or takes seconds
    with needing("the evaluation", "pip install '.[eval]' in the repository"):
        from . import commands
    return commands.run_compare(args, card) if args.command == "compare" else commands.run_simulator(args, card)


def main(argv: list[str] | None = None) -> int:
    args = parse(argv)
    try:
        return run(args)
    except (Error, ValueError, OSError, ImportError) as error:
        print(f"error: {error}", file=sys.stderr)
    except KeyError as error:  # as text it is its key's repr
        print(f"error: {error.args[0] if error.args else error!r}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
