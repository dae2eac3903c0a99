# SPDX-License-Identifier: Apache-2.0
"""What callers give as pictures, states and noise, as the arrays the engine takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Optional

import numpy as np
from numpy.typing import NDArray

from flash_rt._native import Error

# The keys of FlashRT's picture dictionaries, in the order of the checkpoint's cameras.
ROLES = ("image", "wrist_image", "wrist_image_right")


def as_array(value: Any, what: str) -> NDArray[Any]:
    """`value` as a numpy array without a copy where possible: numpy itself, __dlpack__ or numpy's array protocols."""
    if isinstance(value, np.ndarray):
        return value
    if hasattr(value, "__dlpack__"):
        try:
            return np.from_dlpack(value)
        except Exception as error:
            raise TypeError(f"{what}: numpy cannot take this {type(value).__name__} ({error}); "
                            "give CPU memory of a type that numpy has") from error
    if hasattr(value, "__array__") or hasattr(value, "__array_interface__"):
        return np.asarray(value)
    raise TypeError(f"{what} must be an array (numpy, DLPack or a picture), not {type(value).__name__}")


def as_picture(value: Any, what: str) -> NDArray[np.uint8]:
    """A picture as uint8 [height, width, 3], contiguous.

    Takes uint8, or floats from 0 to 1 (as openpi: multiplied by 255, fractions dropped), rows first or channels first.
    """
    array = as_array(value, what)
    if array.ndim != 3 or 3 not in (array.shape[0], array.shape[2]):
        raise Error(f"{what} has the shape {list(array.shape)}; a picture is [height, width, 3] or [3, height, width]")
    if array.shape[0] == 3 and array.shape[2] == 3:
        raise Error(f"{what} has the shape {list(array.shape)}, which could be rows first or channels first; "
                    "no camera gives pictures of three pixels a side")
    if array.shape[0] == 3:
        array = array.transpose(1, 2, 0)
    if np.issubdtype(array.dtype, np.floating):
        if not (array.size and array.min() >= 0 and array.max() <= 1):
            raise Error(f"{what} holds floats outside 0 to 1 (or NaN); give uint8 pixels, or floats from 0 to 1 "
                        "that were not normalised any further")
        array = (255 * array).astype(np.uint8)
    elif array.dtype != np.uint8:
        raise TypeError(f"{what} is of type {array.dtype}; give uint8 pixels, or floats from 0 to 1")
    return np.ascontiguousarray(array)


def as_numbers(value: Any, what: str) -> Optional[NDArray[np.float32]]:
    """One-dimensional numbers as contiguous float32; None stays None."""
    if value is None:
        return None
    array = np.asarray(value) if isinstance(value, (list, tuple)) else as_array(value, what)
    if array.dtype == object or not (np.issubdtype(array.dtype, np.floating) or np.issubdtype(array.dtype, np.integer)):
        raise TypeError(f"{what} must hold numbers, not {array.dtype}")
    if array.ndim != 1:
        raise Error(f"{what} has the shape {list(array.shape)}; it must have one dimension")
    return np.ascontiguousarray(array, dtype=np.float32)


def as_noise(value: Any, horizon: int, width: int) -> Optional[NDArray[np.float32]]:
    """Noise [horizon, model_action_dim] as flat float32; None stays None."""
    if value is None:
        return None
    array = as_array(value, "noise")
    if array.shape != (horizon, width):
        raise Error(f"noise has the shape {list(array.shape)}; this policy takes [{horizon}, {width}]")
    return as_numbers(array.reshape(-1), "noise")


def camera_of(key: str, cameras: Sequence[str], renamed: Mapping[str, str]) -> Optional[int]:
    """The place of the camera that `key` names: its full name, its last part, or FlashRT's own keys.

    `renamed` are the robot's own keys to cameras' names, as the checkpoint has them.
    """
    last = _last_part(key)
    # The policy's names and the robot's own; a full name comes before a last part.
    names = [(name, i) for i, name in enumerate(cameras)]
    names += [(name, cameras.index(to)) for name, to in renamed.items() if to in cameras]
    places = {i for name, i in names if name == key} or {i for name, i in names if _last_part(name) == last}
    if len(places) > 1:
        meant = ", ".join(cameras[i] for i in sorted(places))
        raise Error(f"{key!r} may mean each of {meant}; give the pictures as a list in the order of {', '.join(cameras)}")
    if places:
        return places.pop()
    if last in ROLES and ROLES.index(last) < len(cameras):
        place = ROLES.index(last)
        if any("wrist" in name for name in cameras) and ("wrist" in last) != ("wrist" in cameras[place]):
            raise Error(f"{key!r} would be camera {place}, {cameras[place]}; name the pictures by the policy's own "
                        f"cameras: {', '.join(cameras)}")
        return place
    return None


def _last_part(key: str) -> str:
    return key.replace("/", ".").rsplit(".", 1)[-1]


def as_pictures(images: Any, cameras: Sequence[str],
                renamed: Mapping[str, str] = MappingProxyType({})) -> list[Optional[NDArray[np.uint8]]]:
    """One picture a camera, None where it is missing, from a sequence in the cameras' order or a dictionary."""
    if isinstance(images, Mapping):
        if set(images) == {"images"}:
            return as_pictures(images["images"], cameras, renamed)
        found: list[Any] = [None] * len(cameras)
        names: dict[int, str] = {}
        for key, value in images.items():
            place = camera_of(key, cameras, renamed) if isinstance(key, str) else None
            if place is None:
                raise Error(f"no camera is called {key!r}; this policy has: {', '.join(cameras)} "
                            f"(or {', '.join(ROLES[: len(cameras)])} in this order)")
            if place in names:
                raise Error(f"{names[place]!r} and {key!r} are the same camera, {cameras[place]}")
            names[place] = key
            found[place] = value
        images = found
    if isinstance(images, (str, bytes)) or not isinstance(images, Sequence):
        raise TypeError("images must be a list of pictures in the cameras' order, or a dictionary by camera, not "
                        f"{type(images).__name__}")
    return [None if value is None else as_picture(value, f"image {i}") for i, value in enumerate(images)]
