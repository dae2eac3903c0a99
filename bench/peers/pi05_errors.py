#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How far the engine's actions are from upstream's own, for every golden of pi0.5 and every precision.

Runs `flashrt run` as a user would, pictures as PNG files, and prints a Markdown table: relative L2 and 1 - cosine of
the chunk in robot units, and the largest error of one value as a share of the largest value.
"""

import argparse
import json
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors.numpy import load_file

GOLDEN = Path(__file__).resolve().parents[2] / "flashrt/models/pi05/golden"


def actions(flashrt: str, checkpoint: Path, facts: dict, case: dict[str, np.ndarray], precision: str, scratch: Path):
    cameras = [k.removeprefix("images/") for k in case if k.startswith("images/")]
    command = [flashrt, "run", "--json", "--checkpoint", checkpoint, "--precision", precision]
    command += ["--threads", "1", "--no-pin", "--steps", facts["num_steps"]]
    if checkpoint.name == "openpi_tiny":
        command += ["--state-dim", len(case["state"])]  # its statistics are longer
    for camera in all_cameras(checkpoint):
        picture = "none"
        if camera in cameras:
            picture = scratch / f"{camera}.png"
            Image.fromarray(case[f"images/{camera}"]).save(picture)
        command += ["--image", picture]
    np.save(scratch / "noise.npy", case["noise"])
    np.save(scratch / "state.npy", case["state"])
    command += ["--noise", scratch / "noise.npy", "--state", scratch / "state.npy"]
    command += ["--tokens", ",".join(map(str, facts["token_ids"]))]
    done = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, text=True, check=True)
    return np.array(json.loads(done.stdout)["actions"], np.float64)


def all_cameras(checkpoint: Path) -> list[str]:
    config = json.loads((checkpoint / "config.json").read_text())
    if "input_features" not in config:
        return ["base_0_rgb", "left_wrist_0_rgb", "right_wrist_0_rgb"]
    visual = [name for name, feature in config["input_features"].items() if feature["type"] == "VISUAL"]
    return [name.removeprefix("observation.images.") for name in visual]


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("flashrt", help="the flashrt command, for example build/cpu/flashrt")
    p.add_argument("--precision", default="f32 bf16 int8", help="separated by spaces")
    args = p.parse_args()
    precisions = args.precision.split()
    print("| golden | " + " | ".join(f"{q}: rel. L2 | 1 - cosine | max abs / max" for q in precisions) + " |")
    print("|---|" + "---:|---:|---:|" * len(precisions))
    for layout in ("lerobot_tiny", "openpi_tiny"):
        stored = load_file(GOLDEN / layout / "golden.safetensors")
        for name, facts in json.loads((GOLDEN / layout / "golden.json").read_text())["cases"].items():
            case = {k.removeprefix(name + "/"): t for k, t in stored.items() if k.startswith(name + "/")}
            expected, cells = case["actions"].astype(np.float64), []
            for precision in precisions:
                with tempfile.TemporaryDirectory() as scratch:
                    got = actions(args.flashrt, GOLDEN / layout, facts, case, precision, Path(scratch))
                assert got.shape == expected.shape, (got.shape, expected.shape)
                error, size = np.linalg.norm(got - expected), np.linalg.norm(expected)
                cosine = np.vdot(got, expected) / (np.linalg.norm(got) * size)
                worst = np.abs(got - expected).max() / np.abs(expected).max()
                cells += [f"{error / size:.1e}", f"{max(0.0, 1 - cosine):.1e}", f"{worst:.1e}"]
            print(f"| {layout.removesuffix('_tiny')} {name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
