"""From where things came since the frame before, block by block of 16 x 16 pixels: block matching in grey pictures.

Each block tries the shift it had in the frame before; where that does not match, the best one of a search in small
pictures. It steps to better matches next to it, tries what its neighbours found, and ends between pixels, on a
parabola. A shift is taken only where it matches better by more than noise does. In whole numbers, so that C
(native/motion.inc, which `smoothing` calls where it was compiled) gives the same to the bit.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

_Bytes = npt.NDArray[np.uint8]
_Words = npt.NDArray[np.int32]

SUBPIXEL = 16  # shifts are in sixteenths of a grey pixel
BLOCK = 8  # a block's side in grey pixels, each of which is 2 x 2 pixels of the frame
COARSE = 4  # a side of the small pictures' pixels in grey pixels

# The same as in native/motion.inc.
_COARSE_REACH = 3
_NOISE = 16
_DOUBT = 512
_FLAT = 128


class Pictures(NamedTuple):
    """A frame as it is compared.

    Attributes:
        grey: h x w, at half the frame's size.
        coarse: the means of 4 x 4 of its pixels.
    """

    grey: _Bytes
    coarse: _Bytes


class Motion(NamedTuple):
    """What was found of rows x columns blocks.

    Attributes:
        shifts: rows x columns x 2 int32, y before x: where a block was, seen from where it is, in sixteenths of a grey
            pixel.
        differences: rows x columns int32, sums over a block's pixels of the absolute difference from there.
        contrasts: the same, of the differences from the pixels below and to the right.
    """

    shifts: _Words
    differences: _Words
    contrasts: _Words


def grey_pictures(frame: _Bytes) -> Pictures:
    """Makes both pictures of a frame, H x W x 3 uint8, H and W >= 16."""
    height, width = (side // 2 for side in frame.shape[:2])
    even = frame[: 2 * height, : 2 * width].reshape(height, 2, width, 2, 3).astype(np.int32)
    grey = (even.sum((1, 3)) @ np.array([1, 2, 1]) + 8) >> 4
    rows, columns = height // COARSE, width // COARSE
    cells = grey[: rows * COARSE, : columns * COARSE].reshape(rows, COARSE, columns, COARSE)
    coarse = (cells.sum((1, 3)) + COARSE**2 // 2) // COARSE**2
    return Pictures(grey.astype(np.uint8), coarse.astype(np.uint8))


class _Search:
    """Blocks that are looked for, all at once; what each found so far is in `best` and `least`."""

    def __init__(self, now: _Bytes, before: _Bytes, y: _Words, x: _Words) -> None:
        """Of the 8 x 8 windows at rows y and columns x, or the nearest inside, from a shift of zero on."""
        self._before = sliding_window_view(before, (BLOCK, BLOCK))
        self._last = np.array(self._before.shape[:2], np.int32) - 1
        grid = np.meshgrid(y, x, indexing="ij")
        self._corner = np.clip(np.stack(grid, 2).astype(np.int32), 0, self._last)
        self._windows = sliding_window_view(now, (BLOCK, BLOCK))[self._corner[..., 0], self._corner[..., 1]]
        self.best: _Words = np.zeros_like(self._corner)
        self.least = self.differences(self.best)

    def differences(self, shift: _Words, of: _Bytes | None = None) -> _Words:
        """How much each window differs from what is so far from it, in the picture before."""
        y, x = np.moveaxis(np.clip(self._corner + shift, 0, self._last), 2, 0)
        windows = self._before if of is None else sliding_window_view(of, (BLOCK, BLOCK))
        differences: _Words = np.abs(self._windows - windows[y, x].astype(np.int16)).sum((2, 3), np.int32)
        return differences

    def step(self, shift: _Words, where: npt.NDArray[np.bool_] | None = None) -> None:
        """Takes shifts that match better, and not just by noise."""
        inside = np.clip(self._corner + shift, 0, self._last) - self._corner
        found = self.differences(inside)
        better = found + _NOISE < self.least
        if where is not None:
            better &= where
        self.best = np.where(better[..., None], inside, self.best).astype(np.int32)
        self.least = np.where(better, found, self.least).astype(np.int32)

    def step_around(self, size: int, where: npt.NDArray[np.bool_] | None = None) -> None:
        """Tries the four neighbours of the best shift."""
        start = self.best
        for step in ((-size, 0), (size, 0), (0, -size), (0, size)):
            self.step(start + np.array(step, np.int32), where)

    def between(self, axis: int) -> _Words:
        """In sixteenths of a pixel, where a parabola through three neighbouring differences is least.

        Zero where no more is left than noise: an edge near the window's border bends the parabola, too.
        """
        one = np.eye(2, dtype=np.int32)[axis]
        low, high = self.differences(self.best - one), self.differences(self.best + one)
        bend = low + high - 2 * self.least
        there = self._corner[..., axis] + self.best[..., axis]
        is_inside = (there > 0) & (there < self._last[axis])
        is_between = is_inside & (self.least > _NOISE) & (bend > _FLAT)
        lead = (low - high) * (SUBPIXEL // 2)
        share = np.sign(lead) * (np.abs(lead) // np.where(is_between, bend, 1))  # towards zero, as C divides
        return np.where(is_between, np.clip(share, -SUBPIXEL // 2, SUBPIXEL // 2 - 1), 0).astype(np.int32)

    def contrasts(self, now: _Bytes) -> _Words:
        """How much the windows differ from those one pixel below and to the right, at the border above and left."""
        one = np.where(self._corner < self._last, 1, -1).astype(np.int32)
        return self.differences(one * np.array([1, 0], np.int32), now) + self.differences(
            one * np.array([0, 1], np.int32), now
        )


def find_motion(now: Pictures, before: Pictures, guess: _Words | None = None) -> Motion:
    """Compares the pictures of two frames of one size; `guess` = the shifts found for the frame before."""
    rows, columns = (np.arange(-(-side // BLOCK), dtype=np.int32) for side in now.grey.shape)
    if guess is None:
        guess = np.zeros((len(rows), len(columns), 2), np.int32)
    search = _Search(now.grey, before.grey, BLOCK * rows, BLOCK * columns)
    search.step((guess + SUBPIXEL // 2) // SUBPIXEL)
    doubted = search.least > _DOUBT
    search.step(_coarse_shifts(now.coarse, before.coarse, rows, columns), doubted)
    for size in (2, 1):
        search.step_around(size, doubted)
    search.step_around(1)
    found = search.best
    for above, rest in ((-1, 0), (1, 0), (0, -1), (0, 1)):
        neighbour_rows = np.clip(rows + above, 0, rows[-1])
        neighbour_columns = np.clip(columns + rest, 0, columns[-1])
        search.step(found[neighbour_rows][:, neighbour_columns])
    search.step_around(1)
    part = np.stack([search.between(0), search.between(1)], 2)
    return Motion(SUBPIXEL * search.best + part, search.least, search.contrasts(now.grey))


def _coarse_shifts(now: _Bytes, before: _Bytes, rows: _Words, columns: _Words) -> _Words:
    """Of two by two blocks: all shifts of up to 3 pixels of the small pictures; zero where these are too small."""
    if min(now.shape) < BLOCK:
        return np.zeros((len(rows), len(columns), 2), np.int32)
    step = BLOCK // COARSE
    search = _Search(now, before, step * (rows[::2] - 1), step * (columns[::2] - 1))
    reach = range(-_COARSE_REACH, _COARSE_REACH + 1)
    for y in reach:
        for x in reach:
            search.step(np.array((y, x), np.int32))
    return COARSE * search.best[rows // 2][:, columns // 2]
