# SPDX-License-Identifier: Apache-2.0
"""Writes golden/resize.safetensors: camera frames and what openpi's and lerobot's resize-with-padding make of them.

usage: resize_golden.py OUT_DIR      (with openpi-client's sources on PYTHONPATH, see README.md)
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from lerobot.policies.common.vla_utils import resize_with_pad_torch
from openpi_client import image_tools
from safetensors.torch import load_file, save_file

import common

# Wide, tall, very tall, enlarged, padded without resizing, and a width at which int(n / (n / 28)) is 27.
SIZES = [(37, 53), (64, 48), (100, 30), (20, 31), (14, 28), (12, 18)]


def main(out: Path) -> None:
    common.deterministic()
    tensors = {}
    for height, width in SIZES:
        name = f"{height}x{width}"
        img = common.frame(height, width, "resize")
        pillow = image_tools.resize_with_pad(img, common.IMAGE, common.IMAGE)
        unit = torch.from_numpy(img)[None].to(torch.float32) / 255  # lerobot hands the policy [0, 1]
        model_input = resize_with_pad_torch(unit, common.IMAGE, common.IMAGE)[0] * 2.0 - 1.0
        assert pillow.dtype == np.uint8 and pillow.shape == (common.IMAGE, common.IMAGE, 3)
        tensors[f"{name}/image"] = torch.from_numpy(img)  # uint8 [H, W, 3]
        tensors[f"{name}/openpi"] = torch.from_numpy(pillow)  # uint8 [28, 28, 3]
        tensors[f"{name}/lerobot"] = model_input.contiguous()  # float32 [28, 28, 3] in [-1, 1]
    out.mkdir(parents=True, exist_ok=True)
    save_file(tensors, out / "resize.safetensors")
    back = load_file(out / "resize.safetensors")
    assert all(torch.equal(back[k], tensors[k]) for k in tensors)
    meta = {
        "openpi": "openpi_client.image_tools.resize_with_pad (Pillow bilinear), uint8",
        "lerobot": "resize_with_pad_torch on u8 / 255, then * 2 - 1",
        "sizes_h_w": SIZES,
        "target": common.IMAGE,
        "versions": common.versions("lerobot", "torch", "pillow", "numpy"),
    }
    (out / "resize.json").write_text(json.dumps(meta, indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
