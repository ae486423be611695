"""A source that is open: its frames, each with when it came and how many were dropped before it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from types import TracebackType
from typing import Protocol

import av
import numpy as np
import numpy.typing as npt
from av.video.reformatter import VideoReformatter

from bcpnet.errors import UsageError
from bcpnet.media.live.received import Received
from bcpnet.media.video.upright import upright_of
from bcpnet.storage.damaged import damage

_PATIENCE_S = 0.5


@dataclass(frozen=True, eq=False)
class SourceFrame:
    """One frame of a source.

    Attributes:
        image: H x W x 3 uint8, RGB, upright.
        index: its number among those given, from 0.
        time_s: seconds from the source's first frame: of a live source by when it came, else by the source's own times.
        captured_s: when its data came to this machine, in seconds since 1970, as `time.time` counts.
        dropped: how many frames came after the one before, and were not given.
        decode_ms: time to make the image of what was decoded, in milliseconds.
    """

    image: npt.NDArray[np.uint8]
    index: int
    time_s: Fraction
    captured_s: float
    dropped: int
    decode_ms: float
    _arrived_s: float = field(repr=False)

    def age_ms(self) -> float:
        """Milliseconds since its data came."""
        return 1000 * (time.monotonic() - self._arrived_s)


class Reads(Protocol):
    """Where a source's frames come from: `bcpnet.media.live.reader.Reader` or `bcpnet.media.live.received.Listed`."""

    @property
    def fps(self) -> Fraction:
        """Frames a second, as far as the source says."""

    @property
    def is_stopped(self) -> bool:
        """Whether `stop` was called."""

    def start(self) -> None:
        """Opens it. Raises InputError where it cannot."""

    def take(self, until_s: float) -> Received | None:
        """The next frame; None at the end, at `until_s` of `time.monotonic`, and when stopped. Raises InputError."""

    def stop(self) -> None:
        """Makes `take` return None within 0.1 s; from any thread."""

    def close(self, patience_s: float) -> None:
        """Lets go of what is open."""


class Source:
    """Frames of a camera, stream, pipe or files; `bcpnet.open_source` makes one.

    Iterate over it, once, and close it, as its `with` block does.

    Attributes:
        name: what it is, without credentials.
        frames: how many were given.
        dropped: how many came between them and were not given.
    """

    def __init__(self, name: str, reads: Reads, duration_s: float | None = None, max_frames: int | None = None) -> None:
        """Opens nothing yet; ends after so many seconds or frames.

        Raises:
            UsageError: one of them is not above 0.
        """
        if duration_s is not None and not 0 < duration_s < float("inf"):
            raise UsageError(f"duration {duration_s}: need more than 0 seconds")
        if max_frames is not None and max_frames < 1:
            raise UsageError(f"at most {max_frames} frames: need 1 or more")
        self.name = name
        self.frames = 0
        self.dropped = 0
        self._reads = reads
        self._duration_s = float("inf") if duration_s is None else duration_s
        self._most_frames = float("inf") if max_frames is None else max_frames
        self._end_s: float | None = None
        self._last_number = -1
        self._reformatter = VideoReformatter()

    def __repr__(self) -> str:
        """Its name."""
        return f"<Source: {self.name}>"

    def open(self) -> Source:
        """Connects, if that was not done. Returns itself. Raises InputError where it cannot."""
        if self._end_s is None:
            self._reads.start()
            self._end_s = time.monotonic() + self._duration_s
        return self

    @property
    def fps(self) -> Fraction:
        """Frames a second, as far as the source says; 25 where it does not."""
        return self._reads.fps

    def __iter__(self) -> Iterator[SourceFrame]:
        """Itself."""
        return self

    def __next__(self) -> SourceFrame:
        """The next frame; waits for it. Raises InputError as `bcpnet.open_source` says."""
        self.open()
        assert self._end_s is not None
        while self.frames < self._most_frames:
            received = self._reads.take(self._end_s)
            if received is None:
                break
            start = time.perf_counter()
            image = received.frame if isinstance(received.frame, np.ndarray) else self._rgb(received.frame)
            if image is None:
                continue
            dropped = max(0, received.number - self._last_number - 1)
            self._last_number = received.number
            self.frames += 1
            self.dropped += dropped
            return SourceFrame(
                image,
                self.frames - 1,
                received.time_s,
                captured_s=time.time() - (time.monotonic() - received.arrived_s),
                dropped=dropped,
                decode_ms=1000 * (time.perf_counter() - start),
                _arrived_s=received.arrived_s,
            )
        raise StopIteration

    def __enter__(self) -> Source:
        """Connects, if that was not done."""
        return self.open()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes it."""
        self.close()

    def stop(self) -> None:
        """Ends the iteration within 0.1 s, from any thread."""
        self._reads.stop()

    @property
    def is_stopped(self) -> bool:
        """Whether that was done."""
        return self._reads.is_stopped

    def close(self) -> None:
        """Ends the iteration, and lets go of the source. A wait for data that do not come ends some seconds later."""
        self._reads.stop()
        self._reads.close(_PATIENCE_S)

    def _rgb(self, frame: av.VideoFrame) -> npt.NDArray[np.uint8] | None:
        """H x W x 3 uint8, upright; None where the frame is damaged."""
        try:
            image = self._reformatter.reformat(frame, format="rgb24").to_ndarray()
        except damage("av"):
            return None
        return upright_of(frame)(image.astype(np.uint8, copy=False))
