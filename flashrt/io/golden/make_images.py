#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes small images of every kind to corpus/image and what Pillow decodes from them to golden/*.npy.

Kinds that Pillow cannot write (16-bit colour, interlacing) are written here, chunk by chunk. Needs numpy and Pillow.
"""

import pathlib
import struct
import zlib

import numpy as np
from PIL import Image

IO = pathlib.Path(__file__).resolve().parent.parent
H, W = 13, 19


def picture(channels, dtype=np.uint8):
    """A smooth picture with some noise, so that chroma upsampling and every bit matter."""
    y, x = np.mgrid[0:H, 0:W]
    top = np.iinfo(dtype).max
    planes = [(np.sin(x / 3 + c) + np.cos(y / 2 - c) + 2) / 4 * top for c in range(channels)]
    noise = np.random.default_rng(7).integers(0, top // 16, (H, W, channels))
    return np.clip(np.stack(planes, -1) + noise, 0, top).astype(dtype)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(pixels, color_type, bits, passes):
    """A PNG file of `pixels` [H, W, C], rows unfiltered, in the given passes (first row, first column, steps)."""
    raw = b""
    for y0, x0, dy, dx in passes:
        part = pixels[y0::dy, x0::dx]
        if part.size:
            raw += b"".join(b"\0" + row.astype(f">u{bits // 8}").tobytes() for row in part)
    header = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], bits, color_type, 0, 0, len(passes) > 1)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(raw, 9)) + chunk(b"IEND", b"")


WHOLE = [(0, 0, 1, 1)]
ADAM7 = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]


def main():
    images, golden = IO / "corpus" / "image", IO / "golden"
    rgb, rgba = Image.fromarray(picture(3)), Image.fromarray(picture(4))
    grey = Image.fromarray(picture(1)[..., 0])
    palette = rgb.quantize(13)

    rgb.save(images / "420.jpg", quality=80, subsampling="4:2:0")
    rgb.save(images / "422.jpg", quality=80, subsampling="4:2:2", restart_marker_blocks=2)
    rgb.save(images / "444_progressive.jpg", quality=90, subsampling="4:4:4", progressive=True)
    grey.save(images / "grey.jpg", quality=80)
    rgb.convert("CMYK").save(images / "cmyk.jpg", quality=80)
    rgb.save(images / "rgb.png")
    rgba.save(images / "rgba.png")
    grey.save(images / "grey.png")
    Image.merge("LA", (grey, grey.transpose(Image.Transpose.ROTATE_180))).save(images / "grey_alpha.png")
    grey.point(lambda v: 255 * (v > 100)).convert("1").save(images / "one_bit.png")
    palette.save(images / "palette.png")
    palette.save(images / "palette_alpha.png", transparency=3)
    rgb.save(images / "rgb_transparent.png", transparency=rgb.getpixel((2, 2)))
    deep = picture(3, np.uint16)
    (images / "rgb16.png").write_bytes(png(deep, 2, 16, WHOLE))
    (images / "grey16.png").write_bytes(png(deep[..., :1], 0, 16, WHOLE))
    (images / "interlaced.png").write_bytes(png(picture(3), 2, 8, ADAM7))

    for file in sorted(images.iterdir()):
        if file.name in ("cmyk.jpg", "grey16.png"):
            continue
        with Image.open(file) as image:
            np.save(golden / f"{file.name}.npy", np.asarray(image.convert("RGB")))
    # Pillow keeps 16-bit grey as integers of another mode; the rule is that of 16-bit colour: the upper byte.
    np.save(golden / "grey16.png.npy", np.repeat((deep[..., :1] >> 8).astype(np.uint8), 3, -1))


if __name__ == "__main__":
    main()
