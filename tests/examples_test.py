# SPDX-License-Identifier: Apache-2.0
"""The Python example and the demo run as their readers would run them."""

import json
import re
import shutil
import subprocess
import sys

from conftest import COMMAND, ROOT
from PIL import Image

PICTURES = sorted((ROOT / "examples/demo").glob("*.jpg"))


def test_the_python_example():
    command = [sys.executable, ROOT / "examples/predict.py", ROOT / "checkpoints/metaworld", "open the drawer", *PICTURES]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("16 actions of 4 values in ")


def test_the_python_example_says_how_to_call_it():
    for arguments in ([], ["checkpoint"], ["checkpoint", "prompt"]):
        done = subprocess.run([sys.executable, ROOT / "examples/predict.py", *arguments], capture_output=True, text=True,
                              timeout=60)
        assert done.returncode == 1 and done.stderr.startswith("usage: predict.py CHECKPOINT PROMPT IMAGE..."), done.stderr


def test_the_demo_acts_and_shows_where_time_goes():
    out = ROOT / "build/demo"
    shutil.rmtree(out, ignore_errors=True)
    done = subprocess.run([ROOT / "tools/demo"], capture_output=True, text=True, timeout=900,  # installs a simulator first
                          env={"PATH": "/usr/bin:/bin", "FLASHRT": str(COMMAND)})
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [line for line in done.stdout.splitlines() if re.match(r" *\d+( +-?\d+\.\d{4}){4}$", line)]
    assert len(rows) == 16
    assert re.search(r"latency [\d.]+ ms", done.stdout) and "bound ms" in done.stdout

    # Closed loop: 24 episodes of 24 succeed where it was measured; 4 are left to other arithmetic and renderers.
    (run,) = json.loads((out / "report.json").read_text())["runs"].values()
    assert run["all"]["episodes"] == 24 and run["all"]["successes"] >= 20, run["all"]
    assert len(run["tasks"]) == 8 and all(t["episodes"] == 3 and t["successes"] >= 1 for t in run["tasks"].values())
    for name in [*run["tasks"], "contact_sheet"]:
        with Image.open(out / f"{name}.{'png' if name == 'contact_sheet' else 'gif'}") as picture:
            assert min(picture.size) >= 200, name
            assert name == "contact_sheet" or picture.n_frames > 5
