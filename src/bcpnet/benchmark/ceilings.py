"""What the machine could do at most: multiply-adds between registers alone, in float32 and of bytes; bytes by a copy.

All are measured again and again between other measurements, and the best counts: on a shared machine a single try can
be far too low.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np

from bcpnet.benchmark.process import Worker
from bcpnet.machine import usable_cores
from bcpnet.native import LEVELS, kernels, library
from bcpnet.native.int8 import int8_kernels

_MULTIPLY_ADDS = 2**30  # by each thread: some 10 to 50 ms
_INT8_MULTIPLY_ADDS = 2**32
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
        int8_peak_gops: 1e9 operations a second of bytes, a multiply-add being two, of the instructions that bcpnet's
            8-bit kernels take here; None as above.
        int8_level: which these are, as docs/int8.md names them.
    """

    threads: int
    peak_gflops: float | None
    copy_gb_per_s: float
    int8_peak_gops: float | None = None
    int8_level: str | None = None

    def share_of_peak(self, macs: int, ms: float, *, int8: bool = False) -> float | None:
        """How much of a peak so many multiply-adds in so many milliseconds are, 0..1; None without a peak.

        Of `int8_peak_gops` where they are of bytes (`int8`), else of `peak_gflops`.
        """
        peak = self.int8_peak_gops if int8 else self.peak_gflops
        return None if peak is None else 2 * macs / (1e6 * ms) / peak


class Measured(NamedTuple):
    """One try; see `Ceilings`."""

    peak_gflops: float | None
    copy_gb_per_s: float
    int8_peak_gops: float | None


class CeilingMeter:
    """Measures the ceilings in a process of its own, each time `measure` is called. Use as a context manager."""

    def __init__(self, threads: int | None = None) -> None:
        """`threads`: by default as many as this process may use."""
        self.threads = threads or usable_cores()
        self._worker: Worker | None = None
        self._seen: list[Measured] = []

    def measure(self) -> None:
        """A fraction of a second at full load."""
        if self._worker is None:
            self._worker = Worker("ceilings", {"threads": self.threads})
        self._seen.append(Measured(*self._worker.ask({})))

    def best(self) -> Ceilings:
        """The best of all calls of `measure`; of one, where there was none."""
        if not self._seen:
            self.measure()
        loaded, int8 = library(), int8_kernels()
        return Ceilings(
            self.threads,
            _largest(seen.peak_gflops for seen in self._seen),
            max(seen.copy_gb_per_s for seen in self._seen),
            _largest(seen.int8_peak_gops for seen in self._seen),
            None if loaded is None or int8 is None else loaded.bcpnet_int8_level(int8).decode(),
        )

    def __enter__(self) -> CeilingMeter:
        """Starts nothing yet."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends the process."""
        if self._worker is not None:
            self._worker.close()


def open_task(threads: int) -> tuple[None, Callable[[Any], Measured]]:
    """For `bcpnet.benchmark.worker`: answers anything with what a fresh try measured."""
    source, target = np.zeros((2, threads, _COPIED // threads), np.uint8)
    source[...] = 1  # zeros may be one page of memory, mapped everywhere
    target[...] = 1
    pool = ThreadPoolExecutor(threads)
    # The widest instructions are not always the fastest.
    levels = [handle for level in LEVELS if (handle := kernels(level)) is not None]
    int8 = int8_kernels()

    def copy() -> None:
        list(pool.map(np.copyto, target, source))

    def multiply_adds(handle: int) -> int:
        loaded = library()
        assert loaded is not None
        return sum(pool.map(lambda _: loaded.bcpnet_multiply_adds(handle, _MULTIPLY_ADDS), range(threads)))

    def int8_multiply_adds() -> int:
        loaded = library()
        assert loaded is not None
        return sum(pool.map(lambda _: loaded.bcpnet_int8_multiply_adds(int8, _INT8_MULTIPLY_ADDS), range(threads)))

    def answer(_: Any) -> Measured:
        peaks = [2e-9 * multiply_adds(handle) / _fastest_s(partial(multiply_adds, handle)) for handle in levels]
        int8_peak = None if int8 is None else 2e-9 * int8_multiply_adds() / _fastest_s(int8_multiply_adds)
        return Measured(max(peaks, default=None), 2e-9 * source.size / _fastest_s(copy), int8_peak)

    return None, answer


def _largest(numbers: Iterable[float | None]) -> float | None:
    return max((number for number in numbers if number is not None), default=None)


def _fastest_s(function: Callable[[], object]) -> float:
    taken_s = []
    for _ in range(_REPEATS):
        start = time.perf_counter()
        function()
        taken_s.append(time.perf_counter() - start)
    return min(taken_s)
