"""What live sources need and files do not: frames taken when a worker is free, an end that comes at once, ages."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from typing import TypeVar

import numpy as np

from bcpnet.media.live.source import Source
from bcpnet.pipeline import ordered_map

T = TypeVar("T")
R = TypeVar("R")

_CHECK_S = 0.1
_MOST_MS = 60_000


@contextmanager
def results_of(
    work: Callable[[T], R],
    frames: Generator[T, None, None],
    workers: int,
    check: Callable[[], None] | None,
    source: Source | None,
) -> Iterator[Iterator[R]]:
    """As `bcpnet.pipeline.ordered_map`, and closed at the end.

    Frames of a live `source` are taken when a worker is free, since they would grow old in a queue. It is stopped when
    `check` raises and when the block ends, so that nobody waits for its next frame.
    """
    if source is None:
        with closing(ordered_map(work, frames, workers, check)) as results:
            yield results
        return
    free = threading.Semaphore(workers)

    def work_and_free(frame: T) -> R:
        try:
            return work(frame)
        finally:
            free.release()

    def check_and_stop() -> None:
        try:
            if check is not None:
                check()
        except BaseException:
            source.stop()
            raise

    with closing(ordered_map(work_and_free, _in_turn(frames, free, source), workers, check_and_stop)) as results:
        try:
            yield results
        finally:
            source.stop()


def _in_turn(frames: Generator[T, None, None], free: threading.Semaphore, source: Source) -> Iterator[T]:
    try:
        while not source.is_stopped:
            if not free.acquire(timeout=_CHECK_S):
                continue
            frame = next(frames, None)
            if frame is None:
                return
            yield frame
    finally:
        frames.close()


class Ages:
    """How old results are, in whole milliseconds up to a minute; takes the same memory for any number of them."""

    def __init__(self) -> None:
        """Of none yet."""
        self._counts = np.zeros(_MOST_MS + 1, np.int64)

    def add(self, age_ms: float) -> None:
        """One more."""
        self._counts[min(_MOST_MS, max(0, round(age_ms)))] += 1

    def percentile_ms(self, percent: float) -> int:
        """The age that so many percent of them do not exceed; 0 of none."""
        if not self._counts.any():
            return 0
        return int(np.searchsorted(np.cumsum(self._counts), self._counts.sum() * percent / 100))

    def __str__(self) -> str:
        """The median, 95 % and 99 %."""
        p50, p95, p99 = (self.percentile_ms(percent) for percent in (50, 95, 99))
        return f"p50 {p50} ms, p95 {p95} ms, p99 {p99} ms"
