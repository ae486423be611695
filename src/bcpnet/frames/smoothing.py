"""Steadier class maps of a video: logits smoothed over time, at their own stride, along the motion.

Every logit becomes a probability p and moves towards what was known where its block of 16 x 16 pixels comes from:

    p + keep x (before - p),    keep = 0.85 exp(-(d / (6 + c / 2))^2)

d is how much the block differs from the place that matches it best in the frame before (`frames/motion.py`), c its
contrast, both in grey levels a pixel: a perfect match keeps 0.85 of the past, a block that was hidden, or has changed,
nothing. What was known between logits is interpolated with a cubic, as OpenCV and PyTorch do it: bilinear, poles would
fade from step to step. A class that has less than 1 % in a block, now and where it comes from, stays as it is: most
blocks then have one or two classes to smooth. In C (`smoothing_in_c`) where that was compiled, else in NumPy.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from bcpnet import native
from bcpnet.frames.blocks import Blocks
from bcpnet.frames.confidence import softmax
from bcpnet.frames.motion import BLOCK, Motion, Pictures, find_motion, grey_pictures
from bcpnet.frames.smoothing_in_c import StepInC

_Bytes = npt.NDArray[np.uint8]
_Bools = npt.NDArray[np.bool_]
_Floats = npt.NDArray[np.float32]
_Words = npt.NDArray[np.int32]

# The same as in native/smoothing.inc.
_KEPT = 0.85  # of the past, where the block matches
_NOISE = 6.0  # grey levels
_CONTRAST = 0.5  # a step of a pixel may be missed by so much
_ABSENT = np.float32(0.01)  # a class of that probability is left out
_ABSENT_LOG = np.float32(-4.6051702)

_CUT = 0.5  # a frame that matches the one before less than that, on average, starts anew


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
        self._sizes: tuple[tuple[int, ...], ...] = ()
        self._step: Callable[[_Bytes, _Floats], _Floats] | None = None

    def reset(self) -> None:
        """Forgets the past: the next frame is the first of a sequence."""
        self._step = None

    def __call__(self, frame: _Bytes, logits: _Floats) -> _Floats:
        """One step.

        Args:
            frame: H x W x 3 uint8, RGB, as the network got it; H and W >= 32.
            logits: K x h x w float32, what the network said of it. The result may take their place in memory, so they
                are not to be read again.

        Returns:
            K x h x w float32: probabilities, which add up to nearly 1. They are kept for the next step: do not write
            into them.
        """
        sizes = frame.shape[:2], logits.shape
        if self._step is None or sizes != self._sizes:
            kernels, blocks = native.kernels(), Blocks(*sizes)
            self._sizes = sizes
            self._step = StepInNumPy(blocks) if kernels is None else StepInC(kernels, blocks)
        return self._step(frame, logits)


class StepInNumPy:
    """Smooths frames of one size, one after the other: slow, and what C is compared with.

    Attributes:
        pictures: of the frame before, grey; None = no past.
        shifts, keep: of each block, where it was (as `Motion` says), and how much of that is kept.
        probabilities: K x h x w, of the frame before; None = no past.
        present: K x rows x columns: which classes are not nearly absent in each block of them.
    """

    def __init__(self, blocks: Blocks) -> None:
        """Without a past."""
        self._blocks = blocks
        self.pictures: Pictures | None = None
        self.shifts: _Words = np.zeros((*blocks.counts, 2), np.int32)
        self.keep: _Floats = np.zeros(blocks.counts, np.float32)
        self.probabilities: _Floats | None = None
        self.present: _Bools = np.zeros((blocks.logits_shape[0], *blocks.counts), np.bool_)

    def __call__(self, frame: _Bytes, logits: _Floats) -> _Floats:
        """As `Smoother` says."""
        pictures = grey_pictures(frame)
        if self.pictures is not None:
            motion = find_motion(pictures, self.pictures, self.shifts)
            match = _match(motion)
            self.shifts, self.keep = motion.shifts, np.float32(_KEPT) * match
            if match.mean() <= _CUT:
                self.shifts, self.probabilities = np.zeros_like(self.shifts), None
        self.pictures = pictures
        return self.blend(logits)

    def blend(self, logits: _Floats) -> _Floats:
        """Probabilities of K x h x w logits, mixed with those before."""
        rows, columns = self._blocks.of_logits
        with np.errstate(invalid="ignore"):
            present = self._any_in_block(logits - logits.max(0) > _ABSENT_LOG)
        probabilities = softmax(logits)
        if self.probabilities is not None:
            is_kept = self.keep > _ABSENT
            is_smoothed = (present | self._present_there()) & is_kept
            moved = probabilities + self.keep[rows][:, columns] * (self._past(self.probabilities) - probabilities)
            probabilities = np.where(is_smoothed[:, rows][:, :, columns], moved, probabilities)
            present = np.where(is_kept, is_smoothed & self._any_in_block(probabilities > _ABSENT), present)
        self.probabilities, self.present = probabilities, present
        return probabilities

    def _any_in_block(self, is_so: _Bools) -> _Bools:
        """K x h x w to K x rows x columns."""
        rows, columns = self._blocks.of_logits
        found = np.zeros_like(self.present)
        classes, y, x = np.nonzero(is_so)
        found[classes, rows[y], columns[x]] = True
        return found

    def _present_there(self) -> _Bools:
        """K x rows x columns: the classes where a block's logits come from.

        Only the inner two of the four taps along each axis count: the outer ones have negative weights.
        """
        found = np.zeros_like(self.present)
        (ys, _), (xs, _) = (self._taps(axis) for axis in (0, 1))
        rows, columns = self._blocks.of_logits
        for row, column in np.ndindex(*self._blocks.counts):
            inside = np.ix_(rows == row, columns == column)
            if all(len(side) for side in (inside[0], inside[1][0])):
                there_y, there_x = rows[ys[1:3, inside[0], inside[1]]], columns[xs[1:3, inside[0], inside[1]]]
                area = slice(there_y.min(), there_y.max() + 1), slice(there_x.min(), there_x.max() + 1)
                found[:, row, column] = self.present[:, area[0], area[1]].any((1, 2))
        return found

    def _past(self, before: _Floats) -> _Floats:
        """K x h x w: what was known where each logit comes from."""
        (rows, shares_y), (columns, shares_x) = (self._taps(axis) for axis in (0, 1))
        past = np.zeros_like(before)
        for row, share_y in zip(rows, shares_y, strict=True):
            across = np.zeros_like(past)
            for column, share_x in zip(columns, shares_x, strict=True):
                across += share_x * before[:, row, column]
            past += share_y * across
        return np.minimum(np.fmax(past, 0), 1)  # 0 where it is NaN: what is not finite shall not stay

    def _taps(self, axis: int) -> tuple[_Words, _Floats]:
        """4 x h x w: the four neighbours of the place where each logit comes from, along one axis, and their weights:
        those of Keys's cubic with a = -0.75.
        """
        rows, columns = self._blocks.of_logits
        n = self._blocks.logits_shape[1 + axis]
        at = self.shifts[rows][:, columns, axis].astype(np.float32) * np.float32(self._blocks.pixels[axis])
        whole = np.floor(at)
        t = at - whole
        weights = np.stack([
            ((1.5 - 0.75 * t) * t - 0.75) * t, (1.25 * t - 2.25) * t * t + 1, ((1.5 - 1.25 * t) * t + 0.75) * t,
            0.75 * (t - 1) * t * t,
        ])  # fmt: skip
        own = np.expand_dims(np.arange(n, dtype=np.int32), 1 - axis)
        first = own + whole.astype(np.int32) - 1
        return np.clip(first + np.arange(4, dtype=np.int32)[:, None, None], 0, n - 1), weights


def _match(motion: Motion) -> _Floats:
    """0..1 for each block: how well it matches where it was."""
    misfit = motion.differences / (np.float32(_NOISE * BLOCK**2) + np.float32(_CONTRAST) * motion.contrasts)
    match: _Floats = np.exp(-np.square(misfit, dtype=np.float32))
    return match
