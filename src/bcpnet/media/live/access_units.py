"""Frames of H.264 and H.265 put together from the parts that RTP sends, each as soon as its last part is there.

FFmpeg's parser sees that a frame is whole when the next one begins, so that each is late by a frame interval: 33 ms at
30 frames per second, 100 ms at 10. RTP marks the last part of a frame, but FFmpeg does not pass that on. What shows it
all the same: the parts of a slice are as large as packets may be, and the last one is smaller.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

Codec = Literal["h264", "hevc"]

_UNIT = re.compile(rb"\x00\x00\x00\x01(.)", re.DOTALL)  # a start code, and the first byte after it
_DELIMITER = {"h264": b"\0\0\0\1\x09", "hevc": b"\0\0\0\1\x46"}  # starts a frame, where a sender has it
_START_BYTES = 5  # that a first part has more than the others, at most
_CLEARLY_BYTES = 16
_PROOFS = 30  # frames of which the end was foretold, all rightly, before the first that is given early
_MOST_BYTES = 32 << 20  # of one frame, so that a sender who never ends one does not fill the memory


class AccessUnit(NamedTuple):
    """The compressed data of one frame.

    Attributes:
        data: with start codes (Annex B).
        pts: its time on the stream's clock.
        arrived_s: when its first part came.
        is_key: whether decoding can start here.
    """

    data: bytes
    pts: int | None
    arrived_s: float
    is_key: bool


class AccessUnits:
    """Takes all parts of one connection, in order. The parts of a frame have the same time, as RTP says."""

    def __init__(self, codec: Codec) -> None:
        """For a connection that begins."""
        self._codec = codec
        self._parts: list[bytes] = []
        self._pts: int | None = None
        self._arrived_s = 0.0
        self._bytes = self._last_bytes = self._most_bytes = 0
        self._full_bytes = 0  # of a part that others follow, as far as is known
        self._slices = self._last_slices = 0  # of this frame, and of the one before
        self._is_key = self._looks_whole = self._is_given = False
        self._proofs = 0.0

    def add(self, part: bytes, pts: int | None, now_s: float) -> Iterator[AccessUnit]:
        """Yields the frames that are whole now: the one before, this one, both or none."""
        is_new = pts != self._pts or part.startswith(_DELIMITER[self._codec]) or self._bytes > _MOST_BYTES
        if self._parts and is_new:
            yield from self.end()
        elif self._looks_whole:  # wrongly
            # One that was given lacks its end, and the decoder does what it can. It is the last one of this connection.
            self._proofs = float("-inf") if self._is_given else 0
        if not self._parts:
            self._pts, self._arrived_s = pts, now_s
        self._parts.append(part)
        self._bytes += len(part)
        self._looks_whole = self._is_last(part)
        if self._looks_whole and self._proofs >= _PROOFS and not self._is_given:
            self._is_given = True
            yield self._unit()

    def end(self) -> Iterator[AccessUnit]:
        """Yields the frame that is left."""
        if self._parts and not self._is_given:
            yield self._unit()
        self._proofs += self._looks_whole
        self._last_slices = self._slices
        self._parts = []
        self._bytes = self._slices = 0
        self._is_key = self._looks_whole = self._is_given = False

    def _unit(self) -> AccessUnit:
        return AccessUnit(b"".join(self._parts), self._pts, self._arrived_s, self._is_key)

    def _is_last(self, part: bytes) -> bool:
        """Whether it ends a slice, and the frame has as many as the one before; notes what is in it."""
        units = _UNIT.findall(part)
        for unit in units:
            if self._codec == "h264":
                kind = unit[0] & 31
                self._slices += kind in (1, 5)
                self._is_key |= kind in (5, 7)  # an instant refresh, or parameters: these come before a gradual one
            else:
                kind = unit[0] >> 1 & 63
                self._slices += kind < 32
                self._is_key |= 16 <= kind < 24 or kind == 33
        size = len(part) - (_START_BYTES if units else 0)
        if not units:  # the slice goes on
            self._full_bytes = max(self._full_bytes, size, self._last_bytes)
        is_end = size < self._full_bytes - _CLEARLY_BYTES if self._full_bytes else size <= self._most_bytes
        self._last_bytes, self._most_bytes = size, max(self._most_bytes, size)
        return is_end and self._slices >= max(1, self._last_slices)
