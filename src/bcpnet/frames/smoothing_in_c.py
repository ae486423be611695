"""A step of `smoothing.Smoother` in C (native/smoothing.inc): what is kept from frame to frame lies in buffers."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import numpy.typing as npt

from bcpnet import native
from bcpnet.frames.blocks import Blocks
from bcpnet.frames.motion import COARSE
from bcpnet.native.smoothing import CSmoothing

_Bytes = npt.NDArray[np.uint8]
_Floats = npt.NDArray[np.float32]


class StepInC:
    """Smooths frames of one size, one after the other: the same as `smoothing.StepInNumPy`.

    Attributes:
        structure, address: what C works with, and where that lies.
        arrays: what its fields of these names point to at first; C swaps `grey`, `coarse` and `present` with those of
            the frame before.
    """

    def __init__(self, kernels: int, blocks: Blocks) -> None:
        """Without a past; `kernels` are those of a level."""
        library = native.library()
        assert library is not None  # the kernels are its
        self._library, self._kernels = library, kernels
        height, width = (side // 2 for side in blocks.frame_hw)
        rows, columns = blocks.counts
        self.arrays: dict[str, npt.NDArray[Any]] = {
            "block_rows": blocks.of_logits[0],
            "block_columns": blocks.of_logits[1],
            "shifts": np.zeros((rows, columns, 2), np.int32),
            "differences": np.zeros((rows, columns), np.int32),
            "contrasts": np.zeros((rows, columns), np.int32),
            "keep": np.zeros((rows, columns), np.float32),
        }
        for end in ("", "_before"):
            self.arrays["grey" + end] = np.zeros((height, width), np.uint8)
            self.arrays["coarse" + end] = np.zeros((height // COARSE, width // COARSE), np.uint8)
            self.arrays["present" + end] = np.zeros((rows, columns), np.uint32)
        classes, logits_height, logits_width = blocks.logits_shape
        self.structure = CSmoothing(
            frame_height=blocks.frame_hw[0], frame_width=blocks.frame_hw[1], rows=rows, columns=columns,
            classes=classes, height=logits_height, width=logits_width, pixels=(ctypes.c_float * 2)(*blocks.pixels),
            **{name: array.ctypes.data for name, array in self.arrays.items()},
        )  # fmt: skip
        self.address = ctypes.addressof(self.structure)
        self._last: _Floats | None = None  # what C reads in the next step

    def __call__(self, frame: _Bytes, logits: _Floats) -> _Floats:
        """As `Smoother` says.

        Raises:
            MemoryError: there is not enough for what C needs for a moment.
        """
        if not frame.flags.c_contiguous:
            frame = np.ascontiguousarray(frame)
        if not (logits.flags.carray and logits.dtype == np.float32):
            logits = np.require(logits, np.float32, ["C", "A", "W"])
        if not self._library.bcpnet_smooth_frame(self._kernels, self.address, _address(frame), _address(logits)):
            raise MemoryError("smoothing logits")
        self._last = logits
        return logits


def _address(array: npt.NDArray[Any]) -> int:
    """Of C-contiguous memory; where it may be written, in a quicker way than `array.ctypes.data`."""
    return ctypes.addressof(ctypes.c_char.from_buffer(array.data)) if array.flags.writeable else array.ctypes.data
