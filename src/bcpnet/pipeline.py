"""Overlap with order kept: the next items are taken and worked on while the caller is busy with this one."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import TypeVar

from bcpnet.errors import UsageError
from bcpnet.machine import check_threads, usable_cores

T = TypeVar("T")
R = TypeVar("R")

# More frames at once gain nothing once the one decoder and encoder are busy all the time, and cost memory.
_MOST_WORKERS = 8


def ordered_map(function: Callable[[T], R], source: Iterable[T], workers: int = 1) -> Generator[R, None, None]:
    """Yields `function(item)` for each item of `source`, in order, as `map` would, but ahead of the caller.

    One thread takes the items, one after the other, and `workers` more run `function`; so three stages overlap:
    the source, the function and what the caller does with the results. Nothing starts before the first result
    is asked for. Never more than 2 x workers + 1 items are between the source and the end of the caller's loop body.

    What the source or the function raises comes at its place, after the results of the items before it, and ends
    the iteration; items after it may have been worked on by then. When the iteration ends, by whatever way, what
    is being worked on is waited for, no thread is left, and the source is closed if it has a `close`, as
    generators have. To stop early, close the generator: a `break`, or Ctrl-C in the loop's body, leaves it to the
    garbage collector otherwise.

        with closing(ordered_map(work, source, workers=2)) as results:
            for result in results:
                ...

    Args:
        function: called from several threads at once if `workers` is over 1.
        source: taken from in a thread other than the caller's.
        workers: number of threads for `function`.

    Raises:
        UsageError: fewer than one worker.
    """
    if workers < 1:
        raise UsageError(f"{workers} workers: need at least 1")
    results: deque[Future[R | _End]] = deque()
    with (
        closing(_delegate(source)) as items,
        ThreadPoolExecutor(1, "source") as source_pool,
        ThreadPoolExecutor(workers, "worker") as worker_pool,
    ):

        def submit_next() -> None:
            item = source_pool.submit(next, items, _END)
            results.append(worker_pool.submit(_apply, function, item))

        try:
            for _ in range(2 * workers):
                submit_next()
            while not isinstance(result := results.popleft().result(), _End):
                submit_next()
                yield result
        finally:
            source_pool.shutdown(wait=False, cancel_futures=True)
            worker_pool.shutdown(wait=False, cancel_futures=True)


def divide_threads(threads: int | None, items: int | None) -> tuple[int, int]:
    """How to spend `threads` CPU threads on many items: (workers for `ordered_map`, threads for each of them).

    One thread for each of several items gets more done than several threads for one item after the other, since
    the threads of one item wait for each other between its steps. It is the time of a single item that
    several threads make shorter.

    Args:
        threads: in all; None = as many as this process has cores.
        items: how many there are; None = many, as in a video.

    Raises:
        UsageError: fewer than one thread, or more than any machine has.
    """
    check_threads(threads)
    if threads is None:
        threads = usable_cores()
    workers = min(threads, _MOST_WORKERS, threads if items is None else max(1, items))
    return workers, threads // workers


class _End:
    """What comes after the last item."""


_END = _End()


def _apply(function: Callable[[T], R], item: Future[T | _End]) -> R | _End:
    value = item.result()  # the source's error is this item's; where nothing is worked on any more, CancelledError
    return value if isinstance(value, _End) else function(value)


def _delegate(source: Iterable[T]) -> Generator[T, None, None]:
    # Closing this closes the source (PEP 380), and after an error it asks the source for nothing more.
    yield from source
