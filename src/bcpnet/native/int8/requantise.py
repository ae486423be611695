"""Integer convolutions, and the numbers by which C makes bytes of their sums: `Requantising` in int8_layers.h."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bcpnet.native.protobuf import UnsupportedError
from bcpnet.native.values import Floats

MOST_WEIGHT = 64  # CPUs without VNNI add pairs of products in 16 bits, which larger ones could overflow
_MOST_SUM = 2**31 - 1  # of an int32
MOST_NUMBER = 2**21  # before it is clipped to a byte


class Grid(NamedTuple):
    """What bytes mean: scale * (byte - zero_point)."""

    scale: np.float32
    zero_point: int


@dataclass(frozen=True, eq=False)
class IntegerConv:
    """A convolution of bytes.

    Attributes:
        weights: K x C x k x k int8, -64 to 64.
        bias: K int32, in units of the products.
        scales: K float32, of the weights.
        reads: the grid of its input.
    """

    weights: npt.NDArray[np.int8]
    bias: npt.NDArray[np.int32]
    scales: Floats
    reads: Grid


class Requantised(NamedTuple):
    """See `Requantising` in int8_layers.h: K numbers each, and one.

    And whether sums may be read as the bits of 2^23 + sum: negative ones become 0 anyway, others stay below 2^24.
    """

    start: npt.NDArray[np.int32]
    scale: Floats
    zero_point: int
    may_be_floats: bool


def requantised(conv: IntegerConv, writes: Grid | None, less: int = 0) -> Requantised:
    """How the sums of `conv` become bytes on the grid `writes`; or floats, where that is None.

    Products take `less` off every byte first.

    Raises:
        UnsupportedError: weights, a bias or scales for which the sums are too large.
    """
    rows = conv.weights.reshape(len(conv.weights), -1).astype(np.int64)
    if np.abs(rows).max() > MOST_WEIGHT:
        raise UnsupportedError(f"weights beyond {MOST_WEIGHT}")
    # What means zero in the input is no zero: its products are taken off here.
    start = conv.bias.astype(np.int64) - (conv.reads.zero_point - less) * rows.sum(1)
    most = 255 * np.abs(rows).sum(1) + np.abs(start)
    if most.max() > _MOST_SUM:
        raise UnsupportedError("sums of products that are too large")
    scale, zero_point = (conv.reads.scale * conv.scales).astype(np.float32), 0
    if writes is not None:
        scale, zero_point = (scale / writes.scale).astype(np.float32), writes.zero_point
        if not (most * scale.astype(np.float64)).max() < MOST_NUMBER:
            raise UnsupportedError("sums of products that are too large for what they are written as")
    if not np.isfinite(scale).all():
        raise UnsupportedError("scales that are not finite")
    constant = ~rows.any(1)  # channels without weights, whose bias may be any: 1 times the number that it gives
    scale = np.where(constant, start.astype(np.float32) * scale, scale).astype(np.float32)
    start = np.where(constant, 1, start)
    small = constant | ((most < 2**23) & (scale >= 0))
    may_be_floats = writes is not None and zero_point == 0 and bool(small.all())
    return Requantised(start.astype(np.int32), scale, zero_point, may_be_floats)
