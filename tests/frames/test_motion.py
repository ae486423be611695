"""Block matching: it finds motion that is known. (test_smoothing_in_c.py compares C with it.)"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from bcpnet.frames.motion import SUBPIXEL, find_motion, grey_pictures

Bytes = npt.NDArray[np.uint8]


def texture(height: int, width: int, seed: int = 0) -> Bytes:
    """H x W x 3: blots of a few pixels, as smooth as a picture."""
    small = np.random.default_rng(seed).integers(0, 256, (height // 6 + 1, width // 6 + 1, 3)).astype(np.uint8)
    return np.array(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))


@pytest.mark.parametrize("shift", [(0, 0), (2, 4), (-6, 10), (16, -22)])
def test_a_moved_picture(shift: tuple[int, int]) -> None:
    """What moves down by 2 pixels of the frame was 1 grey pixel, 16 sixteenths, further up."""
    large = texture(200, 280)
    before, now = large[30:158, 30:222], large[30 - shift[0] : 158 - shift[0], 30 - shift[1] : 222 - shift[1]]
    found = find_motion(*(grey_pictures(np.ascontiguousarray(frame)) for frame in (now, before)))
    inside = found.shifts[2:-2, 2:-2].reshape(-1, 2)
    expected = -np.array(shift) * SUBPIXEL // 2
    assert np.mean(np.abs(inside - expected).max(1) <= 2) > 0.9
    assert np.median(found.differences) == 0


def test_half_a_pixel() -> None:
    """One pixel of the frame is half a grey one."""
    large = texture(160, 200)
    before, now = large[16:144, 16:176], large[15:143, 16:176]
    found = find_motion(*(grey_pictures(np.ascontiguousarray(frame)) for frame in (now, before)))
    inside = found.shifts[2:-2, 2:-2].reshape(-1, 2)
    assert np.abs(np.median(inside, axis=0) - (-8, 0)).max() <= 2


def test_noise_does_not_move() -> None:
    rng = np.random.default_rng(0)
    frames = [np.clip(rng.normal(120, 3, (96, 128, 3)), 0, 255).astype(np.uint8) for _ in range(2)]
    shifts = find_motion(*(grey_pictures(frame) for frame in frames)).shifts
    assert (shifts == 0).mean() > 0.95


def test_a_picture_that_stays_does_not_move() -> None:
    """Not by part of a pixel either, wherever its edges lie in the blocks."""
    rng, frame = np.random.default_rng(0), np.zeros((96, 128, 3), np.uint8)
    for y, x, height, width in rng.integers(0, 60, (40, 4)):
        frame[y : y + height, 2 * x : 2 * x + width] = rng.integers(0, 256, 3)
    pictures = grey_pictures(frame)
    assert not find_motion(pictures, pictures).shifts.any()
