"""Frame -> network input: its size, and the only copy of mean and scale (which networks apply themselves)."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral

import numpy as np
import numpy.typing as npt
from PIL import Image

from bcpnet.errors import UsageError

# One normalisation for every network: (pixel - MEAN) * SCALE, RGB. That of the pre-trained MobileNetV2.
MEAN = 128.0
SCALE = 1.0 / 128.0


def checked_size_hw(size_hw: Sequence[int] | None) -> tuple[int, int] | None:
    """A network size as given by a caller, as a tuple of two ints; None stays None.

    Raises:
        UsageError: not two whole numbers, or one under 32.
    """
    if size_hw is None:
        return None
    sides = tuple(size_hw) if isinstance(size_hw, (Sequence, np.ndarray)) else ()
    if len(sides) != 2 or not all(isinstance(side, Integral) for side in sides):
        raise UsageError(f"network size {size_hw!r}: need two whole numbers, height and width, for example (360, 640)")
    height, width = map(int, sides)
    if min(height, width) < 32:
        raise UsageError(f"network size {height}x{width}: need at least 32 pixels a side")
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
    """Resizes one frame: bilinear, antialiased when shrinking.

    Args:
        frame: H x W x 3 uint8, RGB.
        size_hw: height and width of the network input, in pixels.

    Returns:
        h x w x 3 uint8; `frame` itself where it has that size and no gaps in memory.
    """
    if frame.shape[:2] != size_hw:
        height, width = size_hw
        return np.array(Image.fromarray(frame).resize((width, height), Image.Resampling.BILINEAR))
    return np.ascontiguousarray(frame)
