"""Clients that mean harm: tiny pieces, messages that never end, answers that nobody reads. In one event loop."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
import uvicorn
from service_here import PICTURE, encoded, new_service, post

from bcpnet.serving import stream_protocol
from bcpnet.serving.app import build_app
from bcpnet.serving.bounds import Bounds
from bcpnet.serving.models import Models
from bcpnet.serving.protocol import bounded_protocol
from bcpnet.serving.server import Server
from bcpnet.serving.service import Service
from bcpnet.serving.stream_protocol import bounded_stream_protocol
from bcpnet.serving.uploads import decode

CHUNKED = b"POST /v1/segment HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
UPGRADE = (
    b"GET /v1/stream HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
CONTINUED, BINARY, CLOSE, PING, PONG = 0, 2, 8, 9, 10

Client = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def serving(models: Models, bounds: Bounds) -> AsyncIterator[tuple[Service, Callable[[], Any]]]:
    """A worker in this event loop, and what connects to it."""
    service = new_service(models, bounds)
    config = uvicorn.Config(
        build_app(service),
        http=bounded_protocol(bounds),
        ws=bounded_stream_protocol(bounds, service.bodies),
        ws_max_size=bounds.request_bytes,
        ws_per_message_deflate=False,
        lifespan="off",
        log_config=None,
    )
    config.load()
    server = Server(config, bounds.connections, [0], 0)
    server.lifespan = config.lifespan_class(config)
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    await server.startup([listener])
    try:
        yield service, lambda: asyncio.open_connection("127.0.0.1", port)
    finally:
        await server.shutdown([listener])
        service.jobs.close()


async def stream(connect: Callable[[], Any]) -> Client:
    """A stream, open."""
    reader, writer = await connect()
    writer.write(UPGRADE)
    assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
    return reader, writer


def frame(kind: int, size: int, is_last: bool = True) -> bytes:
    """The head of a client's frame; the mask is 0."""
    length = bytes([0x80 | size]) if size < 126 else b"\xff" + struct.pack(">Q", size)
    return bytes([is_last << 7 | kind]) + length + bytes(4)


async def read_frame(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Kind and content of a frame of the server."""
    kind, length = await reader.readexactly(2)
    if length > 125:
        length = int.from_bytes(await reader.readexactly(2 if length == 126 else 8), "big")
    return kind & 15, await reader.readexactly(length)


async def close_code(reader: asyncio.StreamReader) -> int:
    """Why the server closes the stream."""
    while (read := await read_frame(reader))[0] != CLOSE:
        pass
    return int.from_bytes(read[1][:2], "big")


async def soon(condition: Callable[[], Any]) -> None:
    """Waits until it holds."""
    until = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < until
        await asyncio.sleep(0.001)


@pytest.mark.parametrize(("size", "status"), [(1, 400), (20, 400), (300, 200), (5000, 200)])
def test_tiny_chunks_are_not_taken_without_end(size: int, status: int, models: Models) -> None:
    file = encoded(kind="BMP") + bytes(1 << 19)

    async def scenario() -> None:
        async with serving(models, Bounds()) as (_, connect):
            reader, writer = await connect()
            chunks = (file[start : start + size] for start in range(0, len(file), size))
            writer.write(CHUNKED + b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n")
            assert int((await reader.readline()).split()[1]) == status
            writer.close()

    asyncio.run(scenario())


def test_who_is_refused_while_it_sends_hears_why(models: Models) -> None:
    async def scenario() -> None:
        async with serving(models, Bounds(request_mib=1, connections=2)) as (_, connect):
            reader, writer = await connect()
            writer.write(post(bytes(3 << 20)))
            await writer.drain()
            await asyncio.sleep(0.1)  # a reset would be here by now
            assert b" 413 " in await reader.readline()
            kept = await connect()
            more, sends = await connect()
            sends.write(post(bytes(1 << 18)))
            await asyncio.sleep(0.2)
            assert b" 503 " in await more.readline()
            for each in (writer, kept[1], sends):
                each.close()

    asyncio.run(scenario())


def is_held(service: Service, size: int) -> bool:
    """Whether so much, and hardly more, is in memory."""
    return size <= service.bodies.held < size + 1000


@pytest.mark.parametrize("fragments", [1, 4])
def test_what_has_come_of_a_message_counts_among_the_bodies(fragments: int, models: Models) -> None:
    most, part = 1 << 20, 200_000

    async def scenario() -> None:
        async with serving(models, Bounds(request_mib=1, bodies_mib=1)) as (service, connect):
            streams = [await stream(connect) for _ in range(6)]
            for number, (reader, writer) in enumerate(streams, 1):
                if fragments == 1:
                    writer.write(frame(BINARY, 900_000) + bytes(part))
                else:
                    size = part // fragments
                    for kind in [BINARY] + [CONTINUED] * (fragments - 1):
                        writer.write(frame(kind, size, False) + bytes(size))
                if number * part > most:
                    assert await close_code(reader) == 1013
                else:
                    await soon(partial(is_held, service, number * part))
                assert service.bodies.held <= most
            for _, writer in streams:
                writer.close()
            await soon(lambda: service.bodies.held == 0)

    asyncio.run(scenario())


def test_a_message_must_end_in_time_and_a_quiet_stream_need_not(models: Models) -> None:
    async def scenario() -> None:
        async with serving(models, Bounds(receive_s=1.0)) as (service, connect):
            reader, writer = await stream(connect)
            slow, slowly = await stream(connect)
            slowly.write(frame(BINARY, 1000) + bytes(10))
            writer.write(frame(PONG, 0))
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await slow.readexactly(1)  # ended
            writer.write(frame(PING, 0))
            assert await read_frame(reader) == (PONG, b"")
            file = encoded(PICTURE)
            for half in (frame(BINARY, len(file)) + file[:50], file[50:]):
                writer.write(half)
                await asyncio.sleep(0.01)
            assert b'"frame":0' in (await read_frame(reader))[1]
            for each in (writer, slowly):
                each.close()
            await soon(lambda: service.bodies.held == 0)

    asyncio.run(scenario())


@pytest.mark.parametrize("kind", [PING, PONG, CONTINUED])
def test_tiny_frames_are_not_taken_without_end(kind: int, models: Models) -> None:
    async def scenario() -> None:
        async with serving(models, Bounds()) as (_, connect):
            reader, writer = await stream(connect)
            begin = frame(BINARY, 0, False) if kind == CONTINUED else b""
            writer.write(begin + frame(kind, 0, kind != CONTINUED) * 20_000)
            assert await close_code(reader) == 1008
            writer.close()

    asyncio.run(scenario())


def test_who_reads_no_pongs_is_read_no_more(models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_protocol, "_MOST_TINY_A_S", 10**9)

    async def scenario() -> None:
        async with serving(models, Bounds(send_s=1.0)) as (_, connect):
            reader, writer = await stream(connect)
            writer.transport.pause_reading()
            pings = (frame(PING, 125) + bytes(125)) * 1000

            async def ping() -> None:
                for _ in range(1000):  # 130 MB
                    writer.write(pings)
                    await writer.drain()

            with pytest.raises(ConnectionError):  # after `send_s`
                await ping()
            del reader
            writer.close()

    asyncio.run(scenario())


def scans(count: int) -> bytes:
    """A progressive JPEG that repeats its last scan."""
    file = encoded(kind="JPEG", progressive=True)
    last = file[file.rindex(b"\xff\xda") : -2]
    return file[:-2] + last * count + file[-2:]


def test_a_jpeg_of_scans_without_end_is_refused() -> None:
    bounds = Bounds()
    assert decode(scans(50), bounds).shape == PICTURE.shape
    with pytest.raises(Exception, match="100 scans") as refused:
        decode(scans(100), bounds)
    assert getattr(refused.value, "status", None) == 422
    film_after_it = scans(0) + b"\xff\xda" * 500  # as telephones put one behind a picture
    assert decode(film_after_it, bounds).shape == PICTURE.shape
    in_a_comment = scans(0)[:2] + b"\xff\xfe\x03\xea" + b"\xff\xda" * 500 + scans(0)[2:]
    assert decode(in_a_comment, bounds).shape == PICTURE.shape
