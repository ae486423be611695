"""Which way up a video is shown: the display matrix of its frames."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from av.sidedata.sidedata import SideDataContainer

_side_data: Any = SideDataContainer  # PyAV's types leave out that it takes a frame


@dataclass(frozen=True)
class Upright:
    """How a stored picture becomes the one that is shown: rows and columns swapped first, then mirrored.

    Attributes:
        transposed: rows become columns.
        mirrored: left and right change places.
        flipped: top and bottom change places.
    """

    transposed: bool = False
    mirrored: bool = False
    flipped: bool = False

    def __call__(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """The picture as it is shown; H x W x 3, contiguous."""
        if self.transposed:
            image = image.swapaxes(0, 1)
        rows, columns = slice(None, None, -1 if self.flipped else 1), slice(None, None, -1 if self.mirrored else 1)
        return np.ascontiguousarray(image[rows, columns])


def upright_of(frame: av.VideoFrame) -> Upright:
    """What the display matrix of a frame asks for; the nearest of the eight ways to lay a picture down."""
    try:
        # Not frame.side_data, which the frame keeps and which keeps the frame: that much memory until Python looks for
        # such circles, some hundred frames later.
        data = _side_data(frame).get("DISPLAYMATRIX")
    except ValueError:  # side data of a kind that this PyAV has no name for, beside it
        return _by_angle(frame.rotation)
    return Upright() if data is None else by_matrix(*struct.unpack("=9i", bytes(data)[:36]))


def by_matrix(a: int, b: int, u: int, c: int, d: int, v: int, x: int, y: int, w: int) -> Upright:  # noqa: ARG001
    """A pixel at column p and row q is shown at column a p + c q and row b p + d q (ISO 14496-12, 6.2.2)."""
    if abs(a * d) >= abs(b * c):
        return Upright(False, mirrored=a < 0, flipped=d < 0)
    return Upright(True, mirrored=c < 0, flipped=b < 0)


def _by_angle(degrees: int) -> Upright:
    """`degrees` counter-clockwise."""
    return (
        Upright(),
        Upright(True, flipped=True),
        Upright(False, mirrored=True, flipped=True),
        Upright(True, mirrored=True),
    )[round(degrees / 90) % 4]
