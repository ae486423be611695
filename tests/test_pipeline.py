"""Overlapped iteration equals the plain loop: order, errors, bounds, and nothing left running."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bcpnet.errors import UsageError
from bcpnet.machine import usable_cores
from bcpnet.pipeline import divide_threads, ordered_map

PATIENCE_S = 10  # a test that waits as long has failed


@pytest.fixture(autouse=True)
def _no_thread_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


class Stage:
    """Doubles; takes a given time for each item, and fails at some."""

    def __init__(self, delays_ms: list[float], failing: set[int]) -> None:
        self.delays_ms, self.failing = delays_ms, failing

    def __call__(self, item: int) -> int:
        time.sleep(self.delays_ms[item % len(self.delays_ms)] / 1000)
        if item in self.failing:
            raise ValueError(f"at {item}")
        return 2 * item


class Source:
    """Counts to `length`, or fails there; knows how far it came and whether it was closed."""

    def __init__(self, length: int, fails: bool = False) -> None:
        self.length, self.fails = length, fails
        self.taken = 0
        self.closed = False

    def __iter__(self) -> Iterator[int]:
        try:
            for item in range(self.length):
                self.taken += 1
                yield item
            if self.fails:
                raise OSError("the source broke")
        finally:
            self.closed = True


def outcome(results: Iterable[int]) -> tuple[list[int], str]:
    """What a loop sees: the results, then the error that ended it."""
    seen = []
    try:
        for result in results:
            seen.append(result)
    except (ValueError, OSError) as error:
        return seen, repr(error)
    return seen, ""


@given(
    length=st.integers(0, 12),
    source_fails=st.booleans(),
    failing=st.sets(st.integers(0, 12), max_size=2),
    delays_ms=st.lists(st.sampled_from([0, 0, 0.2, 1]), min_size=1, max_size=5),
    workers=st.integers(1, 4),
)
@settings(max_examples=150)
def test_it_equals_the_plain_loop(
    length: int, source_fails: bool, failing: set[int], delays_ms: list[float], workers: int
) -> None:
    stage, source = Stage(delays_ms, failing), Source(length, source_fails)
    expected = outcome(stage(item) for item in Source(length, source_fails))
    assert outcome(ordered_map(stage, source, workers)) == expected
    assert source.closed


@given(stop=st.integers(0, 8), workers=st.integers(1, 4), delay_ms=st.sampled_from([0.0, 0.5]))
@settings(max_examples=40)
def test_closing_early_closes_the_source(stop: int, workers: int, delay_ms: float) -> None:
    source = Source(10**9)
    with closing(ordered_map(Stage([delay_ms], set()), source, workers)) as results:
        for _ in range(stop + 1):
            next(results)
    assert source.closed
    assert source.taken <= stop + 1 + 2 * workers
    assert not [thread for thread in threading.enumerate() if thread.name.startswith(("source", "worker"))]


def test_what_has_not_begun_when_it_is_closed_never_does() -> None:
    begun: list[int] = []
    both_busy, go_on = threading.Barrier(3), threading.Event()

    def stage(item: int) -> int:
        begun.append(item)
        if item in (1, 2):
            both_busy.wait(PATIENCE_S)
            assert go_on.wait(PATIENCE_S)
        return item

    results = ordered_map(stage, Source(10**9), workers=2)
    assert next(results) == 0
    both_busy.wait(PATIENCE_S)
    threading.Timer(0.1, go_on.set).start()
    results.close()
    assert sorted(begun) == [0, 1, 2]


@pytest.mark.parametrize("workers", [1, 3])
def test_a_slow_consumer_bounds_what_is_in_flight(workers: int) -> None:
    source = Source(60)
    stage_done: list[int] = []

    def stage(item: int) -> int:
        stage_done.append(item)
        return item

    most = 0
    for done, _ in enumerate(ordered_map(stage, source, workers)):
        time.sleep(0.003)
        most = max(most, source.taken - done)
    assert most <= 2 * workers + 1
    assert most > 1  # it does run ahead
    assert sorted(stage_done) == list(range(60))


def test_a_slow_first_item_does_not_let_the_others_pile_up() -> None:
    source, go_on = Source(60), threading.Event()

    def stage(item: int) -> int:
        if item == 0:
            assert go_on.wait(PATIENCE_S)
        return item

    threading.Timer(0.1, go_on.set).start()
    results = ordered_map(stage, source, workers=2)
    assert next(results) == 0
    assert source.taken <= 5
    assert list(results) == list(range(1, 60))


def test_source_function_and_consumer_overlap() -> None:
    """Each waits for the other two: had one to end before the next began, none ever would."""
    met = threading.Barrier(3)

    def source() -> Iterator[int]:
        for item in range(3):
            if item == 2:
                met.wait(PATIENCE_S)
            yield item

    def stage(item: int) -> int:
        if item == 1:
            met.wait(PATIENCE_S)
        return item

    for item in ordered_map(stage, source()):
        if item == 0:
            met.wait(PATIENCE_S)


def test_workers_work_at_once() -> None:
    met = threading.Barrier(3)
    assert list(ordered_map(lambda _: met.wait(PATIENCE_S) >= 0, range(6), workers=3)) == [True] * 6


def test_the_source_stays_in_one_thread() -> None:
    def source() -> Iterator[int]:
        for _ in range(20):
            yield threading.get_ident()

    threads = set(ordered_map(lambda thread: thread, source(), workers=3))
    assert len(threads) == 1
    assert threading.get_ident() not in threads


def test_nothing_starts_before_the_first_result_is_asked_for() -> None:
    source, before = Source(5), threading.active_count()
    results = ordered_map(Stage([0], set()), source)
    assert (source.taken, threading.active_count()) == (0, before)
    assert next(results) == 0
    assert threading.active_count() > before
    results.close()


def test_no_workers_is_a_wrong_call() -> None:
    with pytest.raises(UsageError, match="0 workers"):
        next(ordered_map(str, [1], workers=0))


def test_a_failed_source_is_not_asked_again() -> None:
    asked: list[int] = []

    class Flaky:
        def __iter__(self) -> Flaky:
            return self

        def __next__(self) -> int:
            asked.append(len(asked))
            if len(asked) == 3:
                raise OSError("once")
            return len(asked)

    assert outcome(ordered_map(lambda item: item, Flaky(), workers=4)) == ([1, 2], "OSError('once')")
    assert len(asked) == 3


@pytest.mark.parametrize("where", ["consumer waits", "consumer works"])
def test_ctrl_c_ends_it(where: str) -> None:
    source = Source(10**9)

    def stage(item: int) -> int:
        if item == 5:
            if where == "consumer waits":
                os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.02)
        return item

    def consume() -> None:
        with closing(ordered_map(stage, source, workers=2)) as results:
            for item in results:
                if item == 5 and where == "consumer works":
                    signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        consume()
    assert source.closed
    assert source.taken < 20


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")
def test_a_signal_whose_handler_takes_long_does_not_stop_the_checks() -> None:
    """SimpleQueue.get(timeout=...) would wait for ever: the handler ends after its time."""
    released, checks = threading.Event(), []

    def source() -> Iterator[int]:
        released.wait(PATIENCE_S)
        yield 1

    def check() -> None:
        checks.append(time.monotonic())
        if len(checks) > 5:
            released.set()

    before = signal.signal(signal.SIGALRM, lambda *_: time.sleep(0.3))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with closing(ordered_map(lambda item: item, source(), check=check)) as results:
            assert list(results) == [1]
    finally:
        signal.signal(signal.SIGALRM, before)
    assert checks[-1] - checks[0] < PATIENCE_S


def test_pipelines_chain() -> None:
    """One is the source of the other, and closing the last closes all."""
    source = Source(10**9)
    first = ordered_map(lambda item: item + 1, source, workers=2)
    with closing(ordered_map(lambda item: item * 10, first, workers=2)) as results:
        assert [next(results) for _ in range(4)] == [10, 20, 30, 40]
    assert source.closed


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3), MemoryError("full")])
def test_any_exception_passes_as_it_is(error: BaseException) -> None:
    def stage(item: int) -> int:
        if item == 2:
            raise error
        return item

    results = ordered_map(stage, count(), workers=2)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(type(error)) as caught:
        next(results)
    assert caught.value is error


def test_an_abandoned_one_is_closed_with_its_last_reference() -> None:
    source = Source(10**9)

    def first_of(make: Callable[[], Iterator[int]]) -> int:
        return next(make())

    assert first_of(lambda: ordered_map(lambda item: item, source)) == 0
    assert source.closed


@given(threads=st.integers(1, 300), items=st.none() | st.integers(0, 300))
def test_threads_are_divided_without_using_more_than_there_are(threads: int, items: int | None) -> None:
    workers, each = divide_threads(threads, items)
    assert workers >= 1
    assert each >= 1
    assert workers * each <= threads < workers * (each + 1)
    assert items is None or workers <= max(1, items)


@pytest.mark.parametrize(
    ("threads", "items", "divided"),
    [(2, None, (2, 1)), (2, 1, (1, 2)), (4, 3, (3, 1)), (64, None, (8, 8)), (1, 9, (1, 1))],
)
def test_several_frames_get_a_thread_each_and_a_single_one_all(
    threads: int, items: int | None, divided: tuple[int, int]
) -> None:
    assert divide_threads(threads, items) == divided


def test_all_cores_by_default_and_never_none() -> None:
    assert divide_threads(None, 1) == (1, usable_cores())
    for threads in (0, 100_000):
        with pytest.raises(UsageError, match=f"^{threads} threads: need at least 1 and at most 1024"):
            divide_threads(threads, None)
