"""Steadier class maps of a video: logits smoothed over time, at their own stride, along the motion.

Every logit becomes a probability p and moves towards what was known where its block of 16 x 16 pixels comes from:

    p + keep x (before - p),    keep = 0.85 exp(-(d / (6 + c / 2))^2)

d is how much the block differs from the place that matches it best in the frame before (`frames/motion.py`), c its
contrast, both in grey levels a pixel: a perfect match keeps 0.85 of the past, a block that was hidden, or has changed,
nothing. What was known between logits is interpolated with a cubic, as OpenCV and PyTorch do it: bilinear, poles would
fade from step to step. In C (native/smoothing.inc) where that was compiled, else in NumPy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bcpnet import native
from bcpnet.frames.confidence import softmax
from bcpnet.frames.motion import BLOCK, SUBPIXEL, Motion, Pictures, find_motion, grey_pictures

_Bytes = npt.NDArray[np.uint8]
_Floats = npt.NDArray[np.float32]
_Words = npt.NDArray[np.int32]

_KEPT = 0.85  # of the past, where the block matches
_NOISE = 6.0  # grey levels
_CONTRAST = 0.5  # a step of a pixel may be missed by so much
_CUT = 0.5  # a frame that matches the one before less than that, on average, starts anew


@dataclass(frozen=True)
class _Past:
    """What is kept of a frame."""

    frame_shape: tuple[int, ...]
    pictures: Pictures
    shifts: _Words | None
    probabilities: _Floats


class Smoother:
    """Smooths the logits of one sequence of frames; to be called with every frame, in order.

    >>> smoother = Smoother()
    >>> frame, logits = np.zeros((64, 96, 3), np.uint8), np.zeros((11, 8, 12), np.float32)
    >>> [smoother(frame, logits).shape for _ in range(2)]
    [(11, 8, 12), (11, 8, 12)]

    A frame or logits of another size start anew, and so does a frame that has little in common with the one before: a
    cut.
    """

    def __init__(self) -> None:
        """Without a past."""
        self._past: _Past | None = None

    def reset(self) -> None:
        """Forgets the past: the next frame is the first of a sequence."""
        self._past = None

    def __call__(self, frame: _Bytes, logits: _Floats) -> _Floats:
        """One step.

        Args:
            frame: H x W x 3 uint8, RGB, as the network got it; H and W >= 32.
            logits: K x h x w float32, what the network said of it.

        Returns:
            K x h x w float32: probabilities, which add up to nearly 1. They are kept for the next step: do not write
            into them.
        """
        pictures = grey_pictures(np.ascontiguousarray(frame))
        past, shifts = self._past, None
        if past is not None and past.frame_shape == frame.shape and past.probabilities.shape == logits.shape:
            motion = find_motion(pictures, past.pictures, past.shifts)
            match = _match(motion)
            if match.mean() > _CUT:
                shifts = motion.shifts
        if past is None or shifts is None:
            probabilities = softmax(logits)
        else:
            step = _Step(frame.shape[:2], logits, shifts, np.float32(_KEPT) * match, past.probabilities)
            kernels = native.kernels()
            probabilities = step.in_numpy() if kernels is None else step.in_c(kernels)
        self._past = _Past(frame.shape, pictures, shifts, probabilities)
        return probabilities


def _match(motion: Motion) -> _Floats:
    """0..1 for each block: how well it matches where it was."""
    misfit = motion.differences / (np.float32(_NOISE * BLOCK**2) + np.float32(_CONTRAST) * motion.contrasts)
    match: _Floats = np.exp(-np.square(misfit, dtype=np.float32))
    return match


class _Step:
    """One step from what is known of the frame before, in C or in NumPy."""

    def __init__(
        self, frame_hw: tuple[int, ...], logits: _Floats, shifts: _Words, keep: _Floats, before: _Floats
    ) -> None:
        self._logits, self._shifts, self._keep, self._before = logits, shifts, keep, before
        sizes = list(zip(frame_hw, logits.shape[1:], keep.shape, strict=True))
        # The block of each row and each column of logits, and a sixteenth of a grey pixel in logits.
        self._blocks = [
            np.minimum((2 * np.arange(n, dtype=np.int32) + 1) * side // (4 * BLOCK * n), blocks - 1).astype(np.int32)
            for side, n, blocks in sizes
        ]
        self._pixels = [float(np.float32(2 * n / side / SUBPIXEL)) for side, n, _ in sizes]

    def in_c(self, kernels: int) -> _Floats:
        library = native.library()
        assert library is not None  # the kernels are its
        logits = np.require(self._logits, np.float32, "A")
        if logits.strides[2] != logits.itemsize:
            logits = np.ascontiguousarray(logits)
        probabilities = np.empty(logits.shape, np.float32)
        if not library.bcpnet_smooth(
            kernels, logits.ctypes.data, *logits.shape, *(stride // logits.itemsize for stride in logits.strides[:2]),
            self._before.ctypes.data, *self._keep.shape, self._shifts.ctypes.data,
            *(blocks.ctypes.data for blocks in self._blocks), self._keep.ctypes.data, *self._pixels,
            probabilities.ctypes.data,
        ):  # fmt: skip
            raise MemoryError("smoothing logits")
        return probabilities

    def in_numpy(self) -> _Floats:
        (rows, shares_y), (columns, shares_x) = (self._taps(axis) for axis in (0, 1))
        past = np.zeros_like(self._before)
        for row, share_y in zip(rows, shares_y, strict=True):
            across = np.zeros_like(past)
            for column, share_x in zip(columns, shares_x, strict=True):
                across += share_x * self._before[:, row, column]
            past += share_y * across
        past = np.minimum(np.fmax(past, 0), 1)  # 0 where it is NaN: what is not finite shall not stay
        probabilities = softmax(self._logits)
        probabilities += self._keep[self._blocks[0]][:, self._blocks[1]] * (past - probabilities)
        return probabilities

    def _taps(self, axis: int) -> tuple[_Words, _Floats]:
        """4 x h x w: the four neighbours of the place where each logit comes from, along one axis, and their weights:
        those of Keys's cubic with a = -0.75.
        """
        n = self._logits.shape[1 + axis]
        at = self._shifts[self._blocks[0]][:, self._blocks[1], axis].astype(np.float32) * np.float32(self._pixels[axis])
        whole = np.floor(at)
        t = at - whole
        weights = np.stack([
            ((1.5 - 0.75 * t) * t - 0.75) * t, (1.25 * t - 2.25) * t * t + 1, ((1.5 - 1.25 * t) * t + 0.75) * t,
            0.75 * (t - 1) * t * t,
        ])  # fmt: skip
        own = np.expand_dims(np.arange(n, dtype=np.int32), 1 - axis)
        first = own + whole.astype(np.int32) - 1
        return np.clip(first + np.arange(4, dtype=np.int32)[:, None, None], 0, n - 1), weights
