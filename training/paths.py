# SPDX-License-Identifier: Apache-2.0
"""Makes this repository's `flash_rt` importable from the training scripts, also where the engine is not built."""

import sys
import types
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
for folder in (ROOT / "training", ROOT / "python"):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
try:
    import flash_rt  # noqa: F401
except ModuleNotFoundError as error:
    if error.name != "flash_rt._native":
        raise
    # A training machine needs the simulator adapters in flash_rt.eval, which are plain Python, and no engine.
    sys.modules.pop("flash_rt", None)
    package = types.ModuleType("flash_rt")
    package.__path__ = [str(ROOT / "python" / "flash_rt")]
    sys.modules["flash_rt"] = package
