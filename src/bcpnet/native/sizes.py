"""Sizes of maps while the frame's is not known: arithmetic on whole numbers, exact for any height and width."""

from __future__ import annotations

from dataclasses import dataclass

from bcpnet.native.protobuf import UnsupportedError

_MOST = 2**31  # beyond, a size is none that can be meant


@dataclass(frozen=True)
class Size:
    """(axis + offset) // divisor, rounded down, of an axis of the frames.

    Every sum with and division by a whole number has this one form, so two sizes are equal for all frames if and
    only if they are equal here. Divisions in ONNX round toward zero, which is down for what is not negative.

    Attributes:
        axis: "batch", "height" or "width", each at least 1.
        offset, divisor: whole numbers, the divisor at least 1.
    """

    axis: str
    offset: int = 0
    divisor: int = 1

    def plus(self, number: int) -> Size:
        """This size + `number`."""
        return self._checked(self.offset + number * self.divisor, self.divisor)

    def divided(self, number: int) -> Size:
        """This size / `number`. Raises UnsupportedError where that could be negative before it is rounded."""
        if number < 1 or self.offset < -1:
            raise UnsupportedError("a division of a size that may be negative")
        return self._checked(self.offset, self.divisor * number)

    def halved(self) -> Size:
        """Half of this size, rounded up: what a stride of 2 leaves."""
        return self.plus(1).divided(2)

    def of(self, length: int) -> int:
        """This size for an axis of that length."""
        return (length + self.offset) // self.divisor

    def _checked(self, offset: int, divisor: int) -> Size:
        if not (-_MOST < offset < _MOST and divisor < _MOST):
            raise UnsupportedError("a size beyond all frames")
        return Size(self.axis, offset, divisor)


@dataclass(frozen=True)
class Doubled:
    """Twice a size: what doubling by repetition leaves, before it is cut to the map that it is added to."""

    half: Size


@dataclass(frozen=True)
class Integers:
    """What a graph computes of sizes: whole numbers, some known and some not.

    Attributes:
        values: at most four, as a shape has.
        rank: 0 = one number, 1 = a list.
    """

    values: tuple[int | Size | Doubled, ...]
    rank: int


MapSize = tuple[Size | Doubled, Size | Doubled]
