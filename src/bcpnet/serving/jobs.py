"""The threads that segment, and the queue in front of them: bounded in length and in time, first come, first served."""

from __future__ import annotations

import asyncio
import math
import random
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from bcpnet.machine import NO_MORE_THREADS
from bcpnet.serving.bounds import Bounds, RefusedError

T = TypeVar("T")

_LOOK_S = 0.05  # after so long, at the latest, who is held back is let into a queue that has room


class Jobs:
    """One job a thread, each thread a core: that gets the most done (docs/serve.md).

    A thread takes its next job from the queue itself: the event loop, busy with other clients, need not come between.
    """

    def __init__(self, threads: int, bounds: Bounds) -> None:
        """Starts no thread before the first job."""
        self._most, self._bounds = threads, bounds
        self._threads: list[threading.Thread] = []
        self._changed = threading.Condition()  # guards what follows
        self._line: deque[_Job] = deque()
        self._began: dict[_Job, float] = {}  # of the jobs in the threads
        self._is_closed = False
        self._held_back: deque[asyncio.Future[None]] = deque()
        self._look: asyncio.TimerHandle | None = None
        self._mean_s = 0.05  # of a job, of the last ones

    @property
    def waiting(self) -> int:
        """How many jobs wait for a thread."""
        return len(self._line)

    @property
    def running(self) -> int:
        """How many jobs threads work on."""
        return len(self._began)

    async def room(self) -> None:
        """Returns once there is room in the queue: to be asked before a body is received.

        Where it is full, the request is held back for up to `Bounds.hold_s`, so that clients that ask again at once,
        by the hundred, leave time for the work.

        Raises:
            RefusedError: 503, it is still full.
        """
        if self._is_full() or self._held_back:
            await self._hold_back(self._held_back.append)

    async def run(self, work: Callable[[], T]) -> T:
        """What `work` returns, or raises, in one of the threads.

        Cancelled, it leaves the queue; work that has begun is not interrupted.

        Raises:
            RefusedError: 503, the queue is full, or the job's turn did not come in time.
        """
        while self._is_full():
            await self._hold_back(self._held_back.appendleft)  # before those whose bodies are not here yet
        job = _Job(work, asyncio.get_running_loop().create_future())
        timeout_s = None if self._put(job) else self._bounds.wait_s
        try:
            await asyncio.wait({job.result}, timeout=timeout_s)
            if self._withdraw(job):
                raise self._busy("no thread was free in time")
            result: T = await job.result
            return result
        finally:
            self._withdraw(job)
            job.result.cancel()  # unless it is there: nobody waits for it any more

    def oldest_s(self) -> float:
        """How long the job has been running that began first, in seconds."""
        with self._changed:
            return time.perf_counter() - min(self._began.values(), default=time.perf_counter())

    def close(self) -> None:
        """Waits for the jobs that run, and ends the threads."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _places(self) -> int:
        """Free in the threads and in the queue."""
        with self._changed:  # a job that a thread takes meanwhile would count twice
            return self._most + self._bounds.queue - self.running - self.waiting

    def _is_full(self) -> bool:
        return self._places() <= 0

    async def _hold_back(self, stand: Callable[[asyncio.Future[None]], None]) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        stand(turn)
        self._look_soon()
        # Those that came at once are not refused at once: the threads would run out of work meanwhile.
        seconds = min(self._bounds.hold_s, self._bounds.wait_s) * random.uniform(0.75, 1.0)
        try:
            await asyncio.wait({turn}, timeout=seconds)
            if not turn.done() and self._is_full():
                raise self._busy("the queue is full")
        finally:
            turn.cancel()

    def _put(self, job: _Job) -> bool:
        """At the end of the queue; returns whether a thread is free for it."""
        with self._changed:
            is_free = len(self._line) + len(self._began) < self._most
            self._line.append(job)
            self._changed.notify()
            is_short = len(self._threads) < min(self._most, len(self._line) + len(self._began))
        if is_short:
            # A daemon: a program that ends without `close` ends.
            thread = threading.Thread(target=self._work, name=f"segment_{len(self._threads)}", daemon=True)
            try:
                thread.start()
            except RuntimeError as error:
                if not self._threads:
                    self._withdraw(job)
                    raise self._busy(NO_MORE_THREADS) from error
            else:
                self._threads.append(thread)
        return is_free

    def _withdraw(self, job: _Job) -> bool:
        """Takes a job out of the queue; False = it had left it."""
        with self._changed:
            if job not in self._line:
                return False
            self._line.remove(job)
            return True

    def _work(self) -> None:
        """One thread."""
        while True:
            with self._changed:
                while not self._line:
                    if self._is_closed:
                        return
                    self._changed.wait()
                job = self._line.popleft()
                self._began[job] = time.perf_counter()
            value, error = job.outcome()
            with self._changed:
                seconds = time.perf_counter() - self._began.pop(job)
            with suppress(RuntimeError):  # the event loop has ended: so has the client's connection
                job.result.get_loop().call_soon_threadsafe(self._done, job, value, error, seconds)
            del job, value, error  # the next one may be long in coming

    def _done(self, job: _Job, value: Any, error: BaseException | None, seconds: float) -> None:
        self._mean_s += 0.05 * (seconds - self._mean_s)
        if not job.result.done():
            if error is None:
                job.result.set_result(value)
            else:
                job.result.set_exception(error)
        self._let_in()

    def _let_in(self) -> None:
        """As many of those held back as there is room for: they come once their bodies are there, or not at all."""
        places = self._places()
        while self._held_back and (places > 0 or self._held_back[0].done()):
            turn = self._held_back.popleft()
            if not turn.done():
                turn.set_result(None)
                places -= 1

    def _look_soon(self) -> None:
        if self._look is None:
            self._look = asyncio.get_running_loop().call_later(_LOOK_S, self._look_again)

    def _look_again(self) -> None:
        self._look = None
        self._let_in()
        if self._held_back:
            self._look_soon()

    def _busy(self, why: str) -> RefusedError:
        seconds = math.ceil((self.waiting + 1) * self._mean_s / self._most)
        return RefusedError(503, f"{why}: try again later", max(1, seconds))


@dataclass(eq=False, repr=False)
class _Job:
    work: Callable[[], Any]
    result: asyncio.Future[Any]

    def outcome(self) -> tuple[Any, BaseException | None]:
        """What it returned, or raised."""
        try:
            return self.work(), None
        except BaseException as error:
            return None, error


async def unless_gone(receive: Callable[[], Any], work: Callable[[], Any]) -> Any:
    """What `work` returns; cancels it, and raises ConnectionError, once the client is gone.

    Args:
        receive: of a request whose body was received: returns when the client went.
        work: a coroutine function.
    """
    working, gone = asyncio.ensure_future(work()), asyncio.ensure_future(receive())
    try:
        await asyncio.wait({working, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ConnectionError("the client went")
        return working.result()
    finally:
        gone.cancel()
        working.cancel()
