"""What the machine could do at most: float32 multiply-adds between registers alone, bytes by a copy.

Both are measured again and again between other measurements, and the best counts: on a shared machine a single try can
be far too low.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any

import numpy as np

from bcpnet.benchmark.process import Worker
from bcpnet.machine import usable_cores
from bcpnet.native import LEVELS, kernels, library

_MULTIPLY_ADDS = 2**30  # by each thread: some 10 to 50 ms
_COPIED = 2**27  # bytes; more than caches hold
_REPEATS = 2


@dataclass(frozen=True)
class Ceilings:
    """The best that was seen.

    Attributes:
        threads: how many were used.
        peak_gflops: 1e9 float32 operations a second, a multiply-add being two, of the CPU's widest instructions that
            bcpnet has kernels for; None where its C library was not compiled.
        copy_gb_per_s: 1e9 bytes a second, read and written together.
    """

    threads: int
    peak_gflops: float | None
    copy_gb_per_s: float

    def share_of_peak(self, macs: int, ms: float) -> float | None:
        """How much of `peak_gflops` so many multiply-adds in so many milliseconds are, 0..1; None without a peak."""
        return None if self.peak_gflops is None else 2 * macs / (1e6 * ms) / self.peak_gflops


class CeilingMeter:
    """Measures the ceilings in a process of its own, each time `measure` is called. Use as a context manager."""

    def __init__(self, threads: int | None = None) -> None:
        """`threads`: by default as many as this process may use."""
        self.threads = threads or usable_cores()
        self._worker: Worker | None = None
        self._seen: list[tuple[float | None, float]] = []

    def measure(self) -> None:
        """A fraction of a second at full load."""
        if self._worker is None:
            self._worker = Worker("ceilings", {"threads": self.threads})
        peak_gflops, copy_gb_per_s = self._worker.ask({})
        self._seen.append((peak_gflops, copy_gb_per_s))

    def best(self) -> Ceilings:
        """The best of all calls of `measure`; of one, where there was none."""
        if not self._seen:
            self.measure()
        peaks = [peak for peak, _ in self._seen if peak is not None]
        return Ceilings(self.threads, max(peaks, default=None), max(copied for _, copied in self._seen))

    def __enter__(self) -> CeilingMeter:
        """Starts nothing yet."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends the process."""
        if self._worker is not None:
            self._worker.close()


def open_task(threads: int) -> tuple[None, Callable[[Any], tuple[float | None, float]]]:
    """For `bcpnet.benchmark.worker`: answers anything with (GFLOP/s or None, GB/s) of a fresh try."""
    source, target = np.zeros((2, threads, _COPIED // threads), np.uint8)
    source[...] = 1  # zeros may be one page of memory, mapped everywhere
    target[...] = 1
    pool = ThreadPoolExecutor(threads)
    # The widest instructions are not always the fastest.
    levels = [handle for level in LEVELS if (handle := kernels(level)) is not None]

    def copy() -> None:
        list(pool.map(np.copyto, target, source))

    def multiply_adds(handle: int) -> int:
        loaded = library()
        assert loaded is not None
        return sum(pool.map(lambda _: loaded.bcpnet_multiply_adds(handle, _MULTIPLY_ADDS), range(threads)))

    def answer(_: Any) -> tuple[float | None, float]:
        peaks = [2e-9 * multiply_adds(handle) / _fastest_s(partial(multiply_adds, handle)) for handle in levels]
        return max(peaks, default=None), 2e-9 * source.size / _fastest_s(copy)

    return None, answer


def _fastest_s(function: Callable[[], object]) -> float:
    taken_s = []
    for _ in range(_REPEATS):
        start = time.perf_counter()
        function()
        taken_s.append(time.perf_counter() - start)
    return min(taken_s)
