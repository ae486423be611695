"""The HTTP server of one worker: uvicorn's, which takes its share of the connections and leaves the others theirs."""

from __future__ import annotations

import asyncio
import socket
import sys
import time
from collections.abc import Callable, MutableSequence
from contextlib import suppress
from typing import Any, cast

import uvicorn

from bcpnet.serving.logs import event, failure

CLOSED = 1 << 30  # connections of a worker that takes none: more than any other has

_PATIENCE_S = 0.05  # so long a worker that has more connections than another one leaves it the next one
_LOOK_S = 0.001
_MOST_AT_ONCE = 16
_PAUSE_S = 1.0  # where no file can be opened any more


class Server(uvicorn.Server):
    """All workers wait at one socket. A worker that just took all it finds there would leave none to the others.

    On Windows it does: there nothing tells that a connection waits until it is taken.
    """

    def __init__(self, config: uvicorn.Config, most: int, counts: MutableSequence[int], number: int) -> None:
        """Takes no connections yet.

        Args:
            config: uvicorn's.
            most: connections; those beyond it, which the protocol refuses, are taken slowly.
            counts: open connections of each worker, in memory they share; CLOSED = it takes none.
            number: of this worker.
        """
        super().__init__(config)
        self._most, self._counts, self._number = most, counts, number
        self._open = self.server_state.connections = _Counted(counts, number)
        self._taking: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Takes connections from now on."""
        self._counts[self._number] = 0
        if sys.platform == "win32" or sockets is None:
            await super().startup(sockets)
            return
        await super().startup([])
        (listener,) = sockets
        self._taking = asyncio.ensure_future(self._take(listener))
        self._taking.add_done_callback(self._stopped_taking)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Takes none any more, and lets requests end."""
        self._counts[self._number] = CLOSED
        if self._taking is not None:
            self._taking.cancel()
            with suppress(asyncio.CancelledError):
                await self._taking
        await super().shutdown(sockets)

    async def _take(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        listener.setblocking(False)
        while True:
            await _readable(listener)
            await self._turn()
            taken: list[socket.socket] = []
            try:
                while not taken or self._may_take(len(taken)):
                    taken.append(listener.accept()[0])
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                pass  # another worker took it, or the client went
            except OSError as error:
                event("no_connection_taken", reason=error.strerror)
                await asyncio.sleep(_PAUSE_S)
            made = [loop.connect_accepted_socket(self._protocol, connection) for connection in taken]
            await asyncio.gather(*made, return_exceptions=True)

    async def _turn(self) -> None:
        """Gives workers with fewer connections time to come first."""
        if len(self._open) >= self._most:
            await asyncio.sleep(_PATIENCE_S)  # whoever is refused and comes again at once takes no more time than that
            return
        until = time.monotonic() + _PATIENCE_S
        while not self._may_take(0) and time.monotonic() < until:
            await asyncio.sleep(_LOOK_S)

    def _may_take(self, taken: int) -> bool:
        """Whether this worker, with so many taken that are not counted yet, is not far ahead of any other."""
        own = len(self._open) + taken
        least = min((count for number, count in enumerate(self._counts) if number != self._number), default=CLOSED)
        return taken < _MOST_AT_ONCE and own < self._most and own <= least + least // 8

    def _protocol(self) -> asyncio.Protocol:
        # uvicorn tells mypy of any protocol; its own, and ours, take these.
        make = cast(Callable[..., asyncio.Protocol], self.config.http_protocol_class)
        return make(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)

    def _stopped_taking(self, taking: asyncio.Task[None]) -> None:
        if not taking.cancelled() and (error := taking.exception()) is not None:
            failure("fault", error)
            self.should_exit = True  # a worker without connections is of no use: the parent starts another one


class _Counted(set[Any]):
    """Writes how many there are where the other workers see it."""

    def __init__(self, counts: MutableSequence[int], number: int) -> None:
        super().__init__()
        self._counts, self._number = counts, number

    def add(self, connection: Any) -> None:
        """One more."""
        super().add(connection)
        self._tell()

    def discard(self, connection: Any) -> None:
        """One less, if it was in."""
        super().discard(connection)
        self._tell()

    def remove(self, connection: Any) -> None:
        """One less."""
        super().remove(connection)
        self._tell()

    def _tell(self) -> None:
        if self._counts[self._number] != CLOSED:
            self._counts[self._number] = len(self)


async def _readable(listener: socket.socket) -> None:
    """Returns once a connection waits."""
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(listener, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(listener)
