"""WS /v1/stream: frames in, class maps out. Of the frames that come while one is worked on, the newest is next."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial

from starlette.websockets import WebSocket, WebSocketDisconnect

from bcpnet.serving.bounds import Body, RefusedError
from bcpnet.serving.formats import Entry, chosen_output
from bcpnet.serving.jobs import unless_gone
from bcpnet.serving.segment import segment_file
from bcpnet.serving.service import service_of

_UNSUPPORTED, _POLICY, _TRY_AGAIN = 1003, 1008, 1013  # RFC 6455 and its registry
_LONGEST_REASON = 120  # characters


async def stream(websocket: WebSocket) -> None:
    """The endpoint: each binary message is an image file; each answer is a line of JSON, then a picture if it is good.

    The JSON has "frame", the number of the message it belongs to, "skipped", how many were passed over since the last
    answer, and "ms" by stage, or "error".
    """
    service = service_of(websocket)
    try:
        output = chosen_output(websocket.query_params.get("output", "ids"), None)
        if output in ("json", "polygons"):
            raise RefusedError(400, "a stream gives pictures: ids, palette, overlay or confidence")
        model = service.models.get(websocket.query_params.get("model"))
    except RefusedError as error:
        await websocket.accept()
        await websocket.close(_POLICY, str(error)[:_LONGEST_REASON])
        return
    await websocket.accept()
    with service.bodies.of_one_request() as body, suppress(ConnectionError, WebSocketDisconnect, asyncio.TimeoutError):
        newest = _Newest(websocket, body)
        reading = asyncio.ensure_future(newest.read())
        try:
            while (frame := await newest.take()) is not None:
                number, skipped, file = frame
                for _ in range(skipped):
                    service.metrics.image("skipped")
                job = partial(segment_file, file, model, output, service.bounds)
                try:
                    entry: Entry = await unless_gone(newest.over.wait, partial(service.jobs.run, job))
                except RefusedError as error:
                    entry = Entry(None, error)
                service.metrics.image("refused" if entry.value is None else "segmented", entry.ms)
                await asyncio.wait_for(_send(websocket, number, skipped, entry), service.bounds.send_s)
            if newest.refusal is not None:
                await websocket.close(*newest.refusal)
        finally:
            reading.cancel()


class _Newest:
    """The newest frame that nobody has taken yet.

    Attributes:
        over: set once no more are read.
        refusal: why; None = the client closed.
    """

    def __init__(self, websocket: WebSocket, body: Body) -> None:
        self.over = asyncio.Event()
        self.refusal: tuple[int, str] | None = None
        self._websocket, self._body = websocket, body
        self._file: bytes | None = None
        self._received = self._taken = 0
        self._changed = asyncio.Event()

    async def read(self) -> None:
        """Receives frames until the client closes."""
        try:
            while True:
                message = await self._websocket.receive()
                if message["type"] != "websocket.receive":
                    return
                file = message.get("bytes")
                if not file:
                    self.refusal = _UNSUPPORTED, "each message is an image file, in binary"
                    return
                self._body.resize(len(file))
                self._file = file
                self._received += 1
                self._changed.set()
        except RefusedError as error:
            self.refusal = _TRY_AGAIN, str(error)
        finally:
            self.over.set()
            self._changed.set()

    async def take(self) -> tuple[int, int, bytes] | None:
        """Number (from 0), how many were skipped before it, and file; waits for one. None = there are no more."""
        while self._file is None:
            if self.over.is_set():
                return None
            self._changed.clear()
            await self._changed.wait()
        file, self._file = self._file, None
        skipped, self._taken = self._received - 1 - self._taken, self._received
        return self._received - 1, skipped, file


async def _send(websocket: WebSocket, number: int, skipped: int, entry: Entry) -> None:
    about = {"frame": number, "skipped": skipped}
    if isinstance(entry.value, bytes):
        ms = {stage: round(value, 3) for stage, value in (entry.ms or {}).items()}
        await websocket.send_json({**about, "ms": ms})
        await websocket.send_bytes(entry.value)
    else:
        await websocket.send_json({**about, "error": str(entry.error)})
