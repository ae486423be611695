"""The threads that segment, and the queue in front of them: bounded in length and in time, first come, first served."""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from bcpnet.machine import NO_MORE_THREADS
from bcpnet.serving.bounds import Bounds, RefusedError

T = TypeVar("T")


class Jobs:
    """One job a thread, each thread a core: that gets the most done (docs/serve.md).

    Attributes:
        waiting, running: how many.
    """

    def __init__(self, threads: int, bounds: Bounds) -> None:
        """Starts no thread before the first job."""
        self.waiting = self.running = 0
        self._threads, self._bounds = threads, bounds
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="segment")
        self._line: deque[asyncio.Future[None]] = deque()
        self._mean_s = 0.05  # of a job, of the last ones
        self._began: dict[Future[Any], float] = {}  # of the jobs in the threads

    async def room(self) -> None:
        """Returns once there is room in the queue: to be asked before a body is received.

        Where it is full, the request is held back for `Bounds.hold_s`, so that clients that ask again at once, by the
        hundred, leave time for the work.

        Raises:
            RefusedError: 503, it is still full.
        """
        if self._is_full():
            await asyncio.sleep(self._bounds.hold_s)
            if self._is_full():
                raise self._busy("the queue is full")

    async def run(self, job: Callable[[], T]) -> T:
        """What `job` returns, or raises, in one of the threads.

        Cancelled, it leaves the queue; a job that runs already is not interrupted.

        Raises:
            RefusedError: 503, the queue is full, or the job's turn did not come in time.
        """
        await self.room()
        if self.running < self._threads:
            self.running += 1
        else:
            await self._turn()
        began = time.perf_counter()
        loop = asyncio.get_running_loop()
        try:
            future = self._pool.submit(job)
        except RuntimeError as error:
            self._ended(None)
            raise self._busy(NO_MORE_THREADS) from error
        self._began[future] = began
        future.add_done_callback(lambda future: loop.call_soon_threadsafe(self._done, future))
        return await asyncio.wrap_future(future)

    def oldest_s(self) -> float:
        """How long the job has been running that began first, in seconds."""
        return time.perf_counter() - min(self._began.values(), default=time.perf_counter())

    def close(self) -> None:
        """Waits for the jobs that run."""
        self._pool.shutdown()

    def _is_full(self) -> bool:
        return self.running >= self._threads and self.waiting >= self._bounds.queue

    async def _turn(self) -> None:
        """Waits for a thread."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._line.append(turn)
        self.waiting += 1
        try:
            await asyncio.wait({turn}, timeout=self._bounds.wait_s)
        except asyncio.CancelledError:
            if turn.done():
                self._ended(None)
            raise
        finally:
            self.waiting -= 1
            if not turn.done():
                self._line.remove(turn)
        if not turn.done():
            raise self._busy("no thread was free in time")

    def _done(self, future: Future[Any]) -> None:
        self._ended(time.perf_counter() - self._began.pop(future))

    def _ended(self, seconds: float | None) -> None:
        """A thread is free: the next one's turn."""
        if seconds is not None:
            self._mean_s += 0.05 * (seconds - self._mean_s)
        if self._line:
            self._line.popleft().set_result(None)
        else:
            self.running -= 1

    def _busy(self, why: str) -> RefusedError:
        seconds = math.ceil((self.waiting + 1) * self._mean_s / self._threads)
        return RefusedError(503, f"{why}: try again later", max(1, seconds))


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
