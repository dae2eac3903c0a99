# SPDX-License-Identifier: Apache-2.0
"""The Python example and the demo run as their readers would run them."""

import re
import subprocess
import sys

from conftest import COMMAND, ROOT

PICTURES = sorted((ROOT / "examples/demo").glob("*.jpg"))


def test_the_python_example():
    command = [sys.executable, ROOT / "examples/predict.py", ROOT / "checkpoints/metaworld", "open the drawer", *PICTURES]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("16 actions of 4 values in ")


def test_the_demo_shows_actions_latency_and_where_time_goes():
    done = subprocess.run([ROOT / "tools/demo"], capture_output=True, text=True, timeout=300,
                          env={"PATH": "/usr/bin:/bin", "FLASHRT": str(COMMAND)})
    assert done.returncode == 0, done.stderr
    rows = [line for line in done.stdout.splitlines() if re.match(r" *\d+( +-?\d+\.\d{4}){4}$", line)]
    assert len(rows) == 16
    assert re.search(r"latency [\d.]+ ms", done.stdout) and "bound ms" in done.stdout
