# SPDX-License-Identifier: Apache-2.0
"""Actions from a checkpoint, a prompt and pictures: predict.py CHECKPOINT PROMPT IMAGE..."""

import sys

import numpy as np
from PIL import Image

import flash_rt

if len(sys.argv) < 4:
    sys.exit("usage: predict.py CHECKPOINT PROMPT IMAGE...   (pictures in the order of the checkpoint's cameras)")
checkpoint, prompt, *files = sys.argv[1:]
with flash_rt.load_model(checkpoint, precision="int8") as model:
    pictures = [np.asarray(Image.open(file).convert("RGB")) for file in files]
    state = np.zeros(model.info["state_dim"], np.float32)  # here: the robot's own, in its units
    actions = model.predict(pictures, prompt=prompt, state=state)
    horizon, width = actions.shape
    print(f"{horizon} actions of {width} values in {model.get_latency_stats()['p50_ms']:.1f} ms")
    print(np.array2string(actions, precision=4, suppress_small=True))
