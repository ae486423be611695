"""What a reader gives, and the reader of what lies in files."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator
from fractions import Fraction
from typing import NamedTuple

import av
import numpy as np
import numpy.typing as npt


class Received(NamedTuple):
    """A frame as it came.

    Attributes:
        frame: of PyAV, or H x W x 3 uint8, RGB, upright.
        number: of all frames that came before it, taken or not.
        arrived_s: when its data came, on the clock of `time.monotonic`.
        time_s: when it is shown, in seconds from the first one.
    """

    frame: av.VideoFrame | npt.NDArray[np.uint8]
    number: int
    arrived_s: float
    time_s: Fraction


class Listed:
    """Reads pictures, each with its time, from a generator, which waits for who takes them.

    Attributes:
        fps: frames a second.
    """

    def __init__(self, pictures: Generator[tuple[npt.NDArray[np.uint8], Fraction], None, None], fps: Fraction) -> None:
        """Takes nothing yet."""
        self.fps = fps
        self._pictures = pictures
        self._number = 0
        self._stopped = threading.Event()

    @property
    def is_stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._stopped.is_set()

    def start(self) -> None:
        """Nothing to do."""

    def take(self, until_s: float) -> Received | None:
        """The next one; None at the end, after `until_s` of `time.monotonic`, and when stopped. Raises InputError."""
        if self.is_stopped or time.monotonic() >= until_s:
            return None
        arrived_s = time.monotonic()
        picture = next(self._pictures, None)
        if picture is None:
            return None
        self._number += 1
        return Received(picture[0], self._number - 1, arrived_s, picture[1])

    def stop(self) -> None:
        """Makes `take` return None."""
        self._stopped.set()

    def close(self, patience_s: float) -> None:
        """Closes the generator."""
        del patience_s
        self._pictures.close()
