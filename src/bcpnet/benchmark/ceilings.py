"""What the machine could do at most: multiply-adds by a large matrix product, bytes by a copy.

The product is NumPy's, so its BLAS's. Both are measured again and again between other measurements, and the best
counts: on a shared machine a single try can be far too low.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import numpy as np

from bcpnet.benchmark.process import Worker
from bcpnet.machine import usable_cores

_SIDE = 2048  # 17 GFLOP a product
_COPIED = 2**27  # bytes; more than caches hold
_REPEATS = 2

# NumPy's BLAS asks one of these, once, when it is loaded.
_THREAD_VARIABLES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


@dataclass(frozen=True)
class Ceilings:
    """The best that was seen.

    Attributes:
        threads: how many were used.
        sgemm_gflops: 1e9 float32 operations a second, a multiply-add being two.
        copy_gb_per_s: 1e9 bytes a second, read and written together.
    """

    threads: int
    sgemm_gflops: float
    copy_gb_per_s: float

    def share_of_sgemm(self, macs: int, ms: float) -> float:
        """How much of `sgemm_gflops` so many multiply-adds in so many milliseconds are, 0..1."""
        return 2 * macs / (1e6 * ms) / self.sgemm_gflops


class CeilingMeter:
    """Measures the ceilings in a process of its own, each time `measure` is called. Use as a context manager."""

    def __init__(self, threads: int | None = None) -> None:
        """`threads`: by default as many as this process may use."""
        self.threads = threads or usable_cores()
        self._worker: Worker | None = None
        self._seen: list[tuple[float, float]] = []

    def measure(self) -> None:
        """A fraction of a second at full load."""
        if self._worker is None:
            variables = dict.fromkeys(_THREAD_VARIABLES, str(self.threads))
            self._worker = Worker("ceilings", {"threads": self.threads}, variables)
        sgemm_gflops, copy_gb_per_s = self._worker.ask({})
        self._seen.append((sgemm_gflops, copy_gb_per_s))

    def best(self) -> Ceilings:
        """The best of all calls of `measure`; of one, where there was none."""
        if not self._seen:
            self.measure()
        sgemm_gflops, copy_gb_per_s = (max(column) for column in zip(*self._seen, strict=True))
        return Ceilings(self.threads, sgemm_gflops, copy_gb_per_s)

    def __enter__(self) -> CeilingMeter:
        """Starts nothing yet."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends the process."""
        if self._worker is not None:
            self._worker.close()


def open_task(threads: int) -> tuple[None, Callable[[Any], tuple[float, float]]]:
    """For `bcpnet.benchmark.worker`: answers anything with (GFLOP/s, GB/s) of a fresh try."""
    left, right = np.random.default_rng(0).random((2, _SIDE, _SIDE), np.float32)
    product = np.empty_like(left)
    source, target = np.zeros((2, threads, _COPIED // threads), np.uint8)
    source[...] = 1  # zeros may be one page of memory, mapped everywhere
    target[...] = 1
    pool = ThreadPoolExecutor(threads)

    def copy() -> None:
        list(pool.map(np.copyto, target, source))

    def answer(_: Any) -> tuple[float, float]:
        sgemm_s = _fastest_s(lambda: np.matmul(left, right, out=product))
        return 2e-9 * _SIDE**3 / sgemm_s, 2e-9 * source.size / _fastest_s(copy)

    return None, answer


def _fastest_s(function: Callable[[], object]) -> float:
    taken_s = []
    for _ in range(_REPEATS):
        start = time.perf_counter()
        function()
        taken_s.append(time.perf_counter() - start)
    return min(taken_s)
