"""The server's side of one stream (WebSocket): uvicorn's, with bounds on what a client sends and does not read."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from bcpnet.serving.bounds import Bodies, Body, Bounds, RefusedError
from bcpnet.serving.protocol import TINY

_PIECE = 1 << 14  # bytes that are looked at at once: frames can be so tiny that it takes a while
_MOST_TINY_A_S = 1000
_POLICY, _TRY_AGAIN = 1008, 1013  # RFC 6455 and its registry


def bounded_stream_protocol(bounds: Bounds, bodies: Bodies) -> type[WebSocketsSansIOProtocol]:
    """The class of streams for uvicorn's `ws`: what of a message has come counts among the bodies."""

    class BoundedStreamProtocol(_BoundedStreamProtocol):
        own_bounds = bounds
        own_bodies = bodies

    return BoundedStreamProtocol


class _BoundedStreamProtocol(WebSocketsSansIOProtocol):
    own_bounds: Bounds
    own_bodies: Bodies

    def __init__(self, *args: Any, **keywords: Any) -> None:
        super().__init__(*args, **keywords)
        self._message = Body(self.own_bodies)
        self._receiving: asyncio.TimerHandle | None = None
        self._sending: asyncio.TimerHandle | None = None
        self._fragments = 0  # bytes of those of a message whose last one is to come
        self._second, self._tiny = 0, 0

    def data_received(self, data: bytes) -> None:
        for start in range(0, len(data), _PIECE):
            if self.transport.is_closing():
                return
            super().data_received(data[start : start + _PIECE])
            self._hold(len(self.conn.reader.buffer) + self._fragments)

    def handle_bytes(self, event: Any) -> None:
        self._fragments = len(event.data)
        super().handle_bytes(event)

    def handle_text(self, event: Any) -> None:
        self._fragments = len(event.data)
        super().handle_text(event)

    def send_receive_event_to_app(self) -> None:
        self._fragments = 0  # from here on the application counts the message
        super().send_receive_event_to_app()

    def handle_cont(self, event: Any) -> None:
        self._fragments += len(event.data)
        self._count(len(event.data))
        super().handle_cont(event)

    def handle_ping(self) -> None:
        self._count(0)
        super().handle_ping()

    def handle_pong(self, event: Any) -> None:
        self._count(0)
        super().handle_pong(event)

    def pause_writing(self) -> None:
        super().pause_writing()
        self.transport.pause_reading()  # each ping would be answered with some more to send
        self._sending = self.loop.call_later(self.own_bounds.send_s, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if not self.read_paused:
            self.transport.resume_reading()
        self._stop_sending()

    def connection_lost(self, exc: Exception | None) -> None:
        self._message.resize(0)
        self._stop_receiving()
        self._stop_sending()
        super().connection_lost(exc)

    def _hold(self, size: int) -> None:
        """Bytes of a message that is not whole yet."""
        if self.transport.is_closing():
            return
        try:
            self._message.resize(size)
        except RefusedError as error:
            self._end(_TRY_AGAIN, str(error))
            return
        if size == 0 and not self.frames:
            self._stop_receiving()
        elif self._receiving is None:
            self._receiving = self.loop.call_later(self.own_bounds.receive_s, self.transport.abort)

    def _stop_receiving(self) -> None:
        if self._receiving is not None:
            self._receiving.cancel()
            self._receiving = None

    def _stop_sending(self) -> None:
        if self._sending is not None:
            self._sending.cancel()
            self._sending = None

    def _count(self, size: int) -> None:
        """A frame that brings hardly anything: more than a thousand in a second are too many."""
        second = int(self.loop.time())
        if second != self._second:
            self._second, self._tiny = second, 0
        self._tiny += size < TINY
        if self._tiny > _MOST_TINY_A_S and not self.close_sent:
            self._end(_POLICY, "too many tiny frames")

    def _end(self, code: int, reason: str) -> None:
        self.conn.fail(code, reason)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.transport.close()
