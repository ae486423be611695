"""Weights in the order in which the 8-bit kernels read them: see int8_layers.h."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from bcpnet.native.int8.requantise import Grid, IntegerConv, requantised
from bcpnet.native.int8.structures import CInt8Product, CRequantising

_WIDEST = 4  # vectors in the widest panel of a product's weights
_FLOAT_START = 0x4B000000  # the bits of the float 2^23
_FRAME_RUN = 12  # bytes of three pixels of the frame, filled up to whole groups of four


class Packing:
    """Packs, and keeps what it packed, at which the structures point."""

    def __init__(self, lanes: int, less: int) -> None:
        """For vectors of `lanes` 32-bit numbers; products take `less` off every byte first."""
        self._lanes, self._less = lanes, less
        self._kept: list[npt.NDArray[Any]] = []

    def product(self, conv: IntegerConv, writes: Grid | None, *, front: bool = False) -> CInt8Product:
        """A 1x1 convolution; `front`: what a depthwise one reads."""
        return self._product(conv.weights[:, :, 0, 0], self.requantising(conv, writes, front=front))

    def frame(self, conv: IntegerConv, writes: Grid) -> CInt8Product:
        """The first convolution: its inputs are 3 rows of 3 pixels of 3 channels."""
        rows = conv.weights.transpose(0, 2, 3, 1).reshape(len(conv.weights), 3, 9)
        rows = np.pad(rows, ((0, 0), (0, 0), (0, _FRAME_RUN - 9)))
        return self._product(rows.reshape(len(rows), -1), self.requantising(conv, writes, front=True))

    def depthwise(self, weights: npt.NDArray[np.int8]) -> tuple[int, int]:
        """C x 1 x 3 x 3: address and number of bytes."""
        columns = weights[:, 0].transpose(2, 0, 1)  # column, channel, row
        missing = -len(weights) % self._lanes
        columns = np.pad(columns, ((0, 0), (0, missing), (1, 0)))  # the fourth row's byte comes first
        vectors = columns.reshape(3, -1, self._lanes, 4).transpose(1, 0, 2, 3)
        kept = self._keep(vectors)
        return kept.ctypes.data, kept.nbytes

    def requantising(self, conv: IntegerConv, writes: Grid | None, *, front: bool = True) -> CRequantising:
        """For the sums of `conv`; `front`: of a depthwise convolution, or of what one reads."""
        how = requantised(conv, writes, self._less)
        float_start = front and how.may_be_floats
        start = how.start + np.int32(_FLOAT_START * float_start)
        kept, scale = self._keep(self._whole(start)), self._keep(self._whole(how.scale))
        return CRequantising(kept.ctypes.data, scale.ctypes.data, kept.size, how.zero_point, float_start)

    def _product(self, rows: npt.NDArray[np.int8], requantising: CRequantising) -> CInt8Product:
        outputs, inputs = rows.shape
        columns = np.pad(rows, ((0, -outputs % self._lanes), (0, -inputs % 4)))
        groups = columns.reshape(len(columns), -1, 4).transpose(1, 0, 2)  # group of inputs, output, input
        vectors, panels, at = len(columns) // self._lanes, [], 0
        while vectors:
            taken = min(vectors, _WIDEST - (vectors == _WIDEST + 1))
            panels.append(groups[:, at : at + taken * self._lanes].reshape(-1))
            at, vectors = at + taken * self._lanes, vectors - taken
        kept = self._keep(np.concatenate(panels))
        return CInt8Product(kept.ctypes.data, kept.nbytes, requantising, columns.shape[1], outputs)

    def _whole(self, numbers: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return np.pad(numbers, (0, -len(numbers) % self._lanes))

    def _keep(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The same, one after the other, at an address that a cache line starts at."""
        memory = np.zeros(values.nbytes + 64, np.uint8)
        skip = -memory.ctypes.data % 64
        kept = memory[skip : skip + values.nbytes].view(values.dtype)
        kept[:] = values.reshape(-1)
        self._kept.append(kept)
        return kept


def filled(length: int, to: int) -> int:
    """`length`, filled up to a multiple of `to`."""
    return -(-length // to) * to
