"""The server's side of one connection: uvicorn's, with bounds on connections and on slow clients."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from bcpnet.serving.bounds import Bounds

_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nContent-Length: 53\r\n"
    b"Retry-After: 1\r\nConnection: close\r\n\r\n"
    b'{"error": "too many connections: try again in a bit"}'
)


def bounded_protocol(bounds: Bounds) -> type[H11Protocol]:
    """The class of connections for uvicorn's `http`: h11, whose headers are bounded (16 KiB)."""

    class BoundedProtocol(_BoundedProtocol):
        own_bounds = bounds

    return BoundedProtocol


class _BoundedProtocol(H11Protocol):
    own_bounds: Bounds

    def __init__(self, *args: Any, **keywords: Any) -> None:
        super().__init__(*args, **keywords)
        self._receiving: asyncio.TimerHandle | None = None
        self._sending: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as H11Protocol has it
        super().connection_made(transport)
        if len(self.connections) > self.own_bounds.connections:
            transport.write(_FULL)
            transport.close()
            return
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        self._stop()
        super().handle_websocket_upgrade(event)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._sending = self.loop.call_later(self.own_bounds.send_s, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._sending is not None:
            self._sending.cancel()
            self._sending = None

    def send_400_response(self, msg: str) -> None:
        with suppress(h11.LocalProtocolError):  # an answer has begun: nothing to be said but the end
            super().send_400_response(msg)
            return
        self.transport.abort()

    def _watch(self) -> None:
        """A time to the end of the request that is being received, however slowly it trickles in."""
        is_awaited = self.conn.their_state in (h11.IDLE, h11.SEND_BODY)
        if is_awaited and self._receiving is None and not self.transport.is_closing():
            self._receiving = self.loop.call_later(self.own_bounds.receive_s, self.transport.abort)
        elif not is_awaited and self._receiving is not None:
            self._receiving.cancel()
            self._receiving = None

    def _stop(self) -> None:
        for timer in (self._receiving, self._sending):
            if timer is not None:
                timer.cancel()
        self._receiving = self._sending = None
