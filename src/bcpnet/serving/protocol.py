"""The server's side of one connection: uvicorn's, with bounds on connections and on slow clients."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any, cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from bcpnet.serving.bounds import Bounds

_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nContent-Length: 53\r\n"
    b"Retry-After: 1\r\nConnection: close\r\n\r\n"
    b'{"error": "too many connections: try again in a bit"}'
)

TINY = 256  # bytes of a chunk of a body, or of a frame of a stream, fewer than anybody sends many of
_MOST_TINY = 1000
_HEARD_S = 1.0  # how long a client that is refused may go on sending, so that it hears why


def bounded_protocol(bounds: Bounds) -> type[H11Protocol]:
    """The class of connections for uvicorn's `http`: h11, whose headers are bounded (16 KiB)."""

    class BoundedProtocol(_BoundedProtocol):
        own_bounds = bounds

    return BoundedProtocol


class _BoundedProtocol(H11Protocol):
    own_bounds: Bounds

    def __init__(self, *args: Any, **keywords: Any) -> None:
        super().__init__(*args, **keywords)
        self.conn = _Connection(h11.SERVER)
        self._is_stream = False
        self._receiving: asyncio.TimerHandle | None = None
        self._sending: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as H11Protocol has it
        self._to_client = _ToClient(transport, self)
        super().connection_made(cast(asyncio.Transport, self._to_client))  # which does all that one does
        if len(self.connections) > self.own_bounds.connections:
            self._to_client.write(_FULL)
            self._to_client.close_once_heard()
            return
        self._watch()

    def data_received(self, data: bytes) -> None:
        if self._to_client.is_closing():
            return
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        self._is_stream = True
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
        is_awaited = self.conn.their_state in (h11.IDLE, h11.SEND_BODY) and not self._is_stream
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


class _Connection(h11.Connection):
    """h11's, which takes no end of tiny chunks: each costs some 100 times the event loop's time of its bytes."""

    _chunks = _bytes = 0

    def next_event(self) -> Any:
        """Raises RemoteProtocolError, too, where chunks are tiny."""
        event = super().next_event()
        if isinstance(event, h11.Request):
            self._chunks = self._bytes = 0
        elif isinstance(event, h11.Data):
            self._chunks += event.chunk_end
            self._bytes += len(event.data)
            if self._chunks > _MOST_TINY + self._bytes // TINY:
                raise h11.RemoteProtocolError("tiny chunks")
        return event


class _ToClient:
    """A transport that sends the head of an answer together with its body, and ends so that the client hears it all."""

    def __init__(self, transport: asyncio.Transport, protocol: H11Protocol) -> None:
        self._transport, self._protocol = transport, protocol
        self._head = b""
        self._is_ending = False

    def write(self, data: bytes) -> None:
        """Keeps it until the next one, or until the event loop has nothing else to do."""
        if self._head:
            head, self._head = self._head, b""
            self._transport.writelines([head, data])
        elif data:
            self._head = data
            self._protocol.loop.call_soon(self._flush)

    def is_closing(self) -> bool:
        """Whether nothing more is sent."""
        return self._is_ending or self._transport.is_closing()

    def close(self) -> None:
        """Ends it; a client that still sends hears the answer first."""
        if self._protocol.conn.their_state in (h11.SEND_BODY, h11.ERROR):
            self.close_once_heard()
        else:
            self._flush()
            self._transport.close()

    def close_once_heard(self) -> None:
        """Sends the end, and reads on for a bit: the system drops what it sent once what it received is not read."""
        self._flush()
        if not self.is_closing():
            self._is_ending = True
            self._transport.write_eof()
            self._transport.resume_reading()
            self._protocol.loop.call_later(_HEARD_S, self._transport.close)

    def _flush(self) -> None:
        if self._head:
            head, self._head = self._head, b""
            self._transport.write(head)

    def __getattr__(self, name: str) -> Any:
        self._flush()  # whatever else is done with it comes after what was written
        return getattr(self._transport, name)
