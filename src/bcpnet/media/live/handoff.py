"""Things that one thread hands to another: all of them, or the newest."""

from __future__ import annotations

import _thread
import time
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

_CHECK_S = 0.1


class _Bell:
    """One thread rings, one other waits for it; many rings at once are one. Each is a single step of Python's.

    A lock, since SimpleQueue.get(timeout=...) of Python 3.11 waits for ever where a signal comes as its time ends.
    """

    def __init__(self) -> None:
        self._lock = _thread.allocate_lock()
        self._lock.acquire()

    def ring(self) -> None:
        if self._lock.locked():
            self._lock.release()

    def wait(self, seconds: float) -> None:
        self._lock.acquire(timeout=max(0.0, seconds))


class Handoff(Generic[T]):
    """From one giver to one taker. Either waits for the other in steps of 0.1 s, and leaves once `is_over` says so.

    Only what is a single step for a thread is used, a lock's and deque's: Ctrl-C in either thread leaves no lock taken.
    """

    def __init__(self, is_over: Callable[[], bool], room: int | None = None, newest: bool = False) -> None:
        """Made for `room` things, after which the giver waits; None = any number; `newest` = one, the last given."""
        self._is_over = is_over
        self._things: deque[T] = deque(maxlen=1 if newest else None)
        self._room = float("inf") if room is None else room
        self._given, self._taken = _Bell(), _Bell()
        self._error: Exception | None = None
        self._is_ended = False

    def give(self, thing: T, check: Callable[[], None] | None = None) -> None:
        """Hands `thing` over, or drops it where it is over; `check` is called while it waits, and may raise."""
        while not self._is_over():
            if check is not None:
                check()
            if len(self._things) < self._room:
                self._things.append(thing)
                self._given.ring()
                return
            self._taken.wait(_CHECK_S)

    def end(self, error: Exception | None = None) -> None:
        """Nothing more comes; `error` is raised by `take` after the last thing."""
        self._error, self._is_ended = error, True
        self._given.ring()

    def take(self, until_s: float = float("inf")) -> T | None:
        """The next thing; None at the end, where it is over, and at `until_s` on the clock of `time.monotonic`."""
        while not self._is_over() and time.monotonic() < until_s:
            is_ended = self._is_ended  # looked at first: what came before the end is there then
            try:
                thing = self._things.popleft()
            except IndexError:
                if is_ended:
                    self._raise_error()
                    return None
            else:
                self._taken.ring()
                return thing
            self._given.wait(min(_CHECK_S, until_s - time.monotonic()))
        return None

    def oldest(self) -> T | None:
        """The one that waits longest; it stays."""
        try:
            return self._things[0]
        except IndexError:
            return None

    def clear(self) -> int:
        """Drops all that wait, and says how many; for the giver."""
        count = 0
        while self.oldest() is not None:
            try:
                self._things.popleft()
            except IndexError:  # taken meanwhile
                break
            count += 1
        return count

    def _raise_error(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise error
