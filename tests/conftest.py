# SPDX-License-Identifier: Apache-2.0
"""What the tests of the whole system share: the built command and the goldens."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "python/tests"))  # golden.py
COMMAND = pathlib.Path(os.environ.get("COMMAND_UNDER_TEST", ROOT / "build/cpu/flashrt"))


class Result:
    def __init__(self, done):
        self.status, self.out, self.err = done.returncode, done.stdout, done.stderr

    @property
    def json(self):
        return json.loads(self.out)


@pytest.fixture(scope="session")
def flashrt():
    """Runs the command: flashrt("run", ...) gives status, out, err and json."""
    if not COMMAND.is_file():
        pytest.fail(f"{COMMAND} is not there; build it first (make), or name it with COMMAND_UNDER_TEST")
    clean = {k: v for k, v in os.environ.items() if not k.startswith("FLASHRT_")}

    def run(*arguments, env=None):
        return Result(subprocess.run([COMMAND, *map(str, arguments)], capture_output=True, text=True, timeout=300,
                                     env={**clean, **(env or {})}))

    return run
