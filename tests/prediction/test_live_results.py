"""The ages of results, and when frames of a live source are taken."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Iterator
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bcpnet.media.live.received import Listed
from bcpnet.media.live.source import Source
from bcpnet.prediction.live import Ages, results_of


@given(st.lists(st.floats(0, 70_000), min_size=1, max_size=200), st.sampled_from([50, 95, 99, 100]))
def test_percentiles(ages_ms: list[float], percent: int) -> None:
    """As NumPy's, of whole milliseconds up to a minute."""
    ages = Ages()
    for age_ms in ages_ms:
        ages.add(age_ms)
    whole = np.minimum(np.round(ages_ms), 60_000)
    assert ages.percentile_ms(percent) == np.percentile(whole, percent, method="inverted_cdf")


def test_no_ages() -> None:
    assert str(Ages()) == "p50 0 ms, p95 0 ms, p99 0 ms"


def _source() -> Source:
    def nothing() -> Generator[tuple[np.ndarray, Fraction], None, None]:
        yield from ()

    return Source("a source", Listed(nothing(), Fraction(25)))


@pytest.mark.parametrize("workers", [1, 2])
def test_a_frame_is_taken_when_a_worker_is_free(workers: int) -> None:
    """Never more than there are workers, whatever waits at either end."""
    taken: list[int] = []
    at_work: list[int] = []
    most = 0

    def frames() -> Iterator[int]:
        nonlocal most
        for number in range(30):
            taken.append(number)
            most = max(most, len(taken) - len(at_work))
            yield number

    def work(number: int) -> int:
        time.sleep(0.001)
        at_work.append(number)
        return number

    with results_of(work, _generator(frames()), workers, None, _source()) as results:
        assert list(results) == list(range(30))
    assert most <= workers


def _generator(iterator: Iterator[int]) -> Generator[int, None, None]:
    yield from iterator


def test_the_end_does_not_wait_for_the_next_frame() -> None:
    source = _source()
    waited = threading.Event()

    def frames() -> Generator[int, None, None]:
        yield 0
        while not source.is_stopped:  # as a camera that says nothing
            waited.set()
            time.sleep(0.01)

    with results_of(lambda number: number, frames(), 1, None, source) as results:
        assert next(results) == 0
        assert waited.wait(30)
    assert source.is_stopped


def test_what_the_check_raises_stops_the_source() -> None:
    source = _source()

    def frames() -> Generator[int, None, None]:
        while not source.is_stopped:
            time.sleep(0.01)
        yield from ()

    def check() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), results_of(lambda number: number, frames(), 1, check, source) as results:
        next(results)
    assert source.is_stopped
