"""Frame -> network input: its size, and the only copy of mean and scale (which networks apply themselves)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from numbers import Integral
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from bcpnet import native
from bcpnet.errors import UsageError

# One normalisation for every network: (pixel - MEAN) * SCALE, RGB. That of the pre-trained MobileNetV2.
MEAN = 128.0
SCALE = 1.0 / 128.0

_SHORTEST, _LONGEST = 32, 16384  # sides of a network's input, in pixels


def checked_size_hw(size_hw: Sequence[int] | None) -> tuple[int, int] | None:
    """A network size as given by a caller, as a tuple of two ints; None stays None.

    Raises:
        UsageError: not two whole numbers, each 32 to 16384.
    """
    if size_hw is None:
        return None
    sides = tuple(size_hw) if isinstance(size_hw, (Sequence, np.ndarray)) else ()
    if len(sides) != 2 or not all(isinstance(side, Integral) for side in sides):
        raise UsageError(f"network size {size_hw!r}: need two whole numbers, height and width, for example (360, 640)")
    height, width = map(int, sides)
    if min(height, width) < _SHORTEST or max(height, width) > _LONGEST:
        raise UsageError(f"network size {height}x{width}: need {_SHORTEST} to {_LONGEST} pixels a side")
    return height, width


def network_size_hw(frame_hw: tuple[int, int], short_side: int) -> tuple[int, int]:
    """The size a frame is resized to before the network: its short side `short_side` pixels, its aspect kept.

    Both sides are rounded to the nearest multiple of 8 (the stride of the logits), at least 32. The long side
    is at most 8 times the short one: a frame a few pixels wide shall not make an input of gigabytes.
    """
    scale = short_side / min(frame_hw)
    longest = 8 * short_side
    height, width = (max(32, round(min(side * scale, longest) / 8) * 8) for side in frame_hw)
    return height, width


def preprocess(frame: npt.NDArray[np.uint8], size_hw: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Resizes one frame: bilinear, antialiased when shrinking. To the bit what Pillow 13 gives (`Image.resize`).

    Args:
        frame: H x W x 3 uint8, RGB.
        size_hw: height and width of the network input, in pixels.

    Returns:
        h x w x 3 uint8; `frame` itself where it has that size and no gaps in memory.

    Raises:
        ValueError: a frame of another shape or type.
    """
    if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8:
        raise ValueError(f"a frame of shape {frame.shape} and type {frame.dtype}: need H x W x 3 uint8")
    if frame.shape[:2] == tuple(size_hw):
        return np.ascontiguousarray(frame)
    kernels = native.kernels()
    return _resize_in_pillow(frame, size_hw) if kernels is None else _resize_in_c(kernels, frame, size_hw)


def _resize_in_pillow(frame: npt.NDArray[np.uint8], size_hw: tuple[int, int]) -> npt.NDArray[np.uint8]:
    height, width = size_hw
    return np.array(Image.fromarray(frame).resize((width, height), Image.Resampling.BILINEAR))


def _resize_in_c(kernels: int, frame: npt.NDArray[np.uint8], size_hw: tuple[int, int]) -> npt.NDArray[np.uint8]:
    library = native.library()
    assert library is not None  # the kernels are its
    (height, width, _), (out_height, out_width) = frame.shape, map(int, size_hw)
    if frame.strides[1:] != (3, 1) or frame.strides[0] < 3 * width:  # rows may lie apart, as in a part of a frame
        frame = np.ascontiguousarray(frame)
    y, x = _taps(height, out_height), _taps(width, out_width)
    resized = np.empty((out_height, out_width, 3), np.uint8)
    # The order changes roundings. Pillow since 13 first goes along the columns if that drops the most.
    down_first = out_height < height and height - out_height > 2 * (width - out_width)
    if not library.bcpnet_resize(
        kernels, frame.ctypes.data, frame.strides[0], height, width, resized.ctypes.data, out_height, out_width,
        *y.arguments, *x.arguments, down_first,
    ):  # fmt: skip
        raise MemoryError("resizing a frame")
    return resized


class _Taps(NamedTuple):
    """How one axis is resized.

    Attributes:
        first: the first input pixel of each output pixel, int32.
        weights: n_out x taps int32, of the input pixels from there on, 22 bits behind the point.
        arguments: addresses of both and the number of taps, for C.
    """

    first: npt.NDArray[np.int32]
    weights: npt.NDArray[np.int32]
    arguments: tuple[int, int, int]


@lru_cache(maxsize=16)
def _taps(n_in: int, n_out: int) -> _Taps:
    """A triangle around each output pixel's centre, down to 0 at its neighbours' (growing: one input pixel away)."""
    scale = n_in / n_out
    reach = max(scale, 1.0)
    centre = (np.arange(n_out) + 0.5) * scale
    first = np.maximum((centre - reach + 0.5).astype(np.int32), 0)
    end = np.minimum((centre + reach + 0.5).astype(np.int32), n_in)
    pixel = first + np.arange((end - first).max())[:, None]  # taps x n_out
    weights = np.maximum(1 - np.abs((pixel - centre + 0.5) * (1 / reach)), 0) * (pixel < end)
    fixed = (weights / weights.sum(axis=0) * 2**22 + 0.5).astype(np.int32)
    fixed = np.ascontiguousarray(fixed[: np.flatnonzero(fixed.any(axis=1))[-1] + 1].T)  # the last ones may all be 0
    taps = 0 if n_in == n_out else fixed.shape[1]
    return _Taps(first, fixed, (first.ctypes.data, fixed.ctypes.data, taps))
