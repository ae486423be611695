"""Overlap with order kept: the next items are taken and worked on while the caller is busy with this one."""

from __future__ import annotations

import _thread
import atexit
import os
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from queue import SimpleQueue
from typing import Generic, TypeVar

from bcpnet.errors import InputError, UsageError
from bcpnet.machine import NO_MORE_THREADS, check_threads, usable_cores

T = TypeVar("T")
R = TypeVar("R")

# More frames at once gain nothing once the one decoder and encoder are busy all the time, and cost memory.
_MOST_WORKERS = 8

_CHECK_S = 0.1
_PATIENCE_S = 0.5  # for a source, once Ctrl-C came


def ordered_map(
    function: Callable[[T], R],
    source: Iterable[T],
    workers: int = 1,
    check: Callable[[], None] | None = None,
) -> Generator[R, None, None]:
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

    Ctrl-C may come at any moment. For a source that does not answer then, a camera or a file on a network, the end is
    not waited for: its thread ends with the process.

    Args:
        function: called from several threads at once if `workers` is over 1.
        source: taken from in a thread other than the caller's.
        workers: number of threads for `function`.
        check: called before each result, and several times a second while one is waited for; what it raises ends the
            iteration.

    Raises:
        UsageError: fewer than one worker.
        InputError: the system starts no more threads.
    """
    if workers < 1:
        raise UsageError(f"{workers} workers: need at least 1")
    threads = _Threads(function, source, workers)
    patience_s = None
    try:
        threads.start()
        slots = deque(threads.order() for _ in range(2 * workers))
        while True:
            slot = slots.popleft()
            while not slot.is_filled(check):
                pass
            if slot.is_end():
                return
            slots.append(threads.order())
            yield slot.results.pop()
    except BaseException as error:
        # Of a generator that is closed since Ctrl-C came in the loop's body, the context says so.
        if isinstance(error, KeyboardInterrupt) or isinstance(error.__context__, KeyboardInterrupt):
            patience_s = _PATIENCE_S
        raise
    finally:
        threads.end(patience_s)


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


class _Flag:
    """Set once, waited for once; each a single step of Python's.

    A lock, since SimpleQueue.get(timeout=...) of Python 3.11 waits for ever where a signal comes as its time ends.
    """

    def __init__(self) -> None:
        self._lock = _thread.allocate_lock()
        self._lock.acquire()
        self.set = self._lock.release

    def wait(self, seconds: float | None) -> bool:
        """Whether it is set, after so many seconds at most; None = as long as it takes."""
        return self._lock.acquire(timeout=-1 if seconds is None else seconds)


class _Slot(Generic[R]):
    """What becomes of one item: a result, an error, or neither where there was no item."""

    def __init__(self) -> None:
        self.results: list[R] = []
        self.error: BaseException | None = None
        self._filled = _Flag()

    def fill(self) -> None:
        """Says that nothing more will become of it."""
        self._filled.set()

    def is_filled(self, check: Callable[[], None] | None) -> bool:
        """Waits for that; with `check`, which is called first, not for long."""
        if check is None:
            return self._filled.wait(None)
        check()
        return self._filled.wait(_CHECK_S)

    def is_end(self) -> bool:
        """Whether there was no item. Raises the error, which is not kept here: its traceback keeps frames."""
        error, self.error = self.error, None
        if error is not None:
            try:
                raise error
            finally:
                del error
        return not self.results


class _Threads(Generic[T, R]):
    """The source's thread and the workers'.

    The handler of a signal may raise in the main thread between any two steps of Python's, those inside `threading` and
    `concurrent.futures` too, and leave their locks taken: then one waits for the other forever. So the caller's thread
    does only what is a single step for it: SimpleQueue's, a lock's, and starting one thread, which starts the others.
    """

    def __init__(self, function: Callable[[T], R], source: Iterable[T], workers: int) -> None:
        self._function, self._source = function, source
        self._source_thread = threading.Thread(target=self._take, name="source", daemon=True)
        self._worker_threads = [
            threading.Thread(target=self._work, name=f"worker_{number}", daemon=True) for number in range(workers)
        ]
        self._orders: SimpleQueue[_Slot[R] | None] = SimpleQueue()
        self._items: SimpleQueue[tuple[_Slot[R], T] | None] = SimpleQueue()
        self._started: SimpleQueue[RuntimeError | None] = SimpleQueue()
        self._starter: list[int] = []
        self._ended_workers: SimpleQueue[None] = SimpleQueue()
        self._ended_source = _Flag()
        self._source_error: BaseException | None = None
        self._is_ending = False
        self._process = os.getpid()

    def start(self) -> None:
        """Raises InputError where the system starts no more threads."""
        try:
            atexit.register(self.end, _PATIENCE_S)
            self._starter.extend(map(_thread.start_new_thread, (self._start,), ((),)))  # started and noted: one step
            error = self._started.get()
        except RuntimeError as failure:
            error = failure
        if error is not None:
            raise InputError(NO_MORE_THREADS) from error

    def order(self) -> _Slot[R]:
        """Asks for one more item; what becomes of it will be in the slot."""
        slot: _Slot[R] = _Slot()
        self._orders.put(slot)
        return slot

    def end(self, patience_s: float | None) -> None:
        """Lets what is worked on end, and nothing begin; waits for the source no longer than so many seconds."""
        atexit.unregister(self.end)
        if not self._starter or self._process != os.getpid():  # threads do not survive a fork
            return
        self._starter.clear()
        self._is_ending = True
        self._orders.put(None)
        for _ in self._worker_threads:
            self._items.put(None)
        self._started.get()
        workers = [thread for thread in self._worker_threads if thread.ident is not None]  # that were started
        for _ in workers:
            self._ended_workers.get()
        for thread in workers:
            thread.join()  # at once: it has nothing left to do
        if self._source_thread.ident is None:
            return
        if not self._ended_source.wait(patience_s):
            return
        self._source_thread.join()
        error, self._source_error = self._source_error, None
        if error is not None:
            raise error

    def _start(self) -> None:
        error = None
        try:
            for thread in (self._source_thread, *self._worker_threads):
                thread.start()
        except RuntimeError as failure:
            error = failure
        for _ in ("start", "end"):  # each waits for it
            self._started.put(error)

    def _take(self) -> None:
        items = _delegate(self._source)
        try:
            while (slot := self._orders.get()) is not None and not self._is_ending:
                try:
                    item = next(items)
                except StopIteration:
                    slot.fill()
                except BaseException as error:  # the caller's thread raises it
                    slot.error = error
                    slot.fill()
                else:
                    self._items.put((slot, item))
                    del item
        finally:
            try:
                items.close()
            except BaseException as error:  # the caller's thread raises it
                self._source_error = error
            self._ended_source.set()

    def _work(self) -> None:
        try:
            while (task := self._items.get()) is not None and not self._is_ending:
                slot, item = task
                try:
                    slot.results.append(self._function(item))
                except BaseException as error:  # the caller's thread raises it
                    slot.error = error
                slot.fill()
                del task, slot, item
        finally:
            self._ended_workers.put(None)


def _delegate(source: Iterable[T]) -> Generator[T, None, None]:
    # Closing this closes the source (PEP 380), and after an error it asks the source for nothing more.
    yield from source
