"""Images that are nearly the same: known again after resizing, compression and a change of brightness."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

_SIDE = 16
_MOST_BITS = (
    40  # of 256 that may differ: smaller, brighter and as a JPEG an image has up to 26, another frame 67 and more
)
_MOST_DIFFERENCE = 0.25  # mean of the absolute differences in grey, in standard deviations
_LEAST_DEVIATION = 4.0  # of grey: what is flatter has no pattern to compare
_ROWS = 4096  # compared at a time

Thumbnail = npt.NDArray[np.uint8]


def thumbnail(image: npt.NDArray[np.uint8]) -> Thumbnail:
    """16 x 17 uint8, grey: what is left of an H x W x 3 image that is compared with others."""
    return np.asarray(Image.fromarray(image).convert("L").resize((_SIDE + 1, _SIDE), Image.Resampling.BOX))


def near_duplicates(ones: Sequence[Thumbnail], others: Sequence[Thumbnail]) -> Iterator[tuple[int, int]]:
    """Yields pairs (index in `ones`, index in `others`) of images that are nearly the same.

    A "difference hash" of 256 bits, which tell where a thumbnail becomes brighter to the right, finds pairs; the
    thumbnails themselves confirm them.
    """
    if not ones or not others:
        return
    (one_signs, one_grey), (other_signs, other_grey) = _compared(ones), _compared(others)
    for start in range(0, len(ones), _ROWS):
        # The product of two hashes of +1 and -1 is 256 less twice the bits that differ.
        differ = (_SIDE * _SIDE - one_signs[start : start + _ROWS] @ other_signs.T) / 2
        for one, other in np.argwhere(differ <= _MOST_BITS).tolist():
            if np.abs(one_grey[start + one] - other_grey[other]).mean() <= _MOST_DIFFERENCE:
                yield start + one, other


def _compared(thumbnails: Sequence[Thumbnail]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Hashes, N x 256 of +1 and -1, and greys of mean 0 and standard deviation 1."""
    grey = np.stack(thumbnails).astype(np.float32)
    brighter = grey[:, :, 1:] > grey[:, :, :-1]
    grey = grey - grey.mean((1, 2), keepdims=True)
    deviation = np.maximum(grey.std((1, 2), keepdims=True), _LEAST_DEVIATION)
    return np.where(brighter, 1, -1).astype(np.float32).reshape(len(grey), -1), grey / deviation
