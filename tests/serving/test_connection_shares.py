"""Workers at one socket share the connections, however they come, and none waits for one that takes none."""

from __future__ import annotations

import asyncio
import random
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import service_here  # skips where the extra is missing
import uvicorn

from bcpnet.serving import server as module
from bcpnet.serving.bounds import Bounds
from bcpnet.serving.protocol import bounded_protocol
from bcpnet.serving.server import CLOSED, Server

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there connections are not shared out")
del service_here


async def _app(scope: Any, receive: Any, send: Any) -> None:
    del scope, receive, send


@asynccontextmanager
async def workers(count: int, most: int = 1000) -> AsyncIterator[tuple[list[Server], list[int], int]]:
    """That many servers in one event loop, the connections of each, and their port."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    counts = [CLOSED] * count
    servers: list[Server] = []
    for number in range(count):
        http = bounded_protocol(Bounds(connections=most))
        config = uvicorn.Config(_app, http=http, lifespan="off", loop="asyncio", log_config=None)
        config.load()
        servers.append(Server(config, most, counts, number))
        servers[-1].lifespan = config.lifespan_class(config)
    sockets = [listener.dup() for _ in servers]
    try:
        for server, own in zip(servers, sockets, strict=True):
            await server.startup([own])
        yield servers, counts, listener.getsockname()[1]
    finally:
        for server, own in zip(servers, sockets, strict=True):
            await server.shutdown([own])
        listener.close()


async def connect(port: int) -> asyncio.StreamWriter:
    """One connection."""
    return (await asyncio.open_connection("127.0.0.1", port))[1]


async def soon(counts: list[int], total: int) -> None:
    """Waits until so many are open."""
    until = time.monotonic() + 30
    while sum(counts) != total:
        assert time.monotonic() < until, counts
        await asyncio.sleep(0.001)


@pytest.mark.parametrize("count", [2, 3, 5])
@pytest.mark.parametrize("connections", [4, 32, 100])
def test_what_comes_at_once_is_shared_evenly(count: int, connections: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PATIENCE_S", 30.0)

    async def scenario() -> None:
        async with workers(count) as (_, counts, port):
            kept = await asyncio.gather(*(connect(port) for _ in range(connections)))
            await soon(counts, connections)
            assert max(counts) - min(counts) <= 1 + min(counts) // 8
            assert max(counts) < connections == len(kept)

    asyncio.run(scenario())


@pytest.mark.parametrize("seed", range(3))
def test_each_goes_to_one_that_has_hardly_more_than_the_least(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PATIENCE_S", 30.0)
    rng = random.Random(seed)

    async def scenario() -> None:
        async with workers(3) as (servers, counts, port):
            clients: list[asyncio.StreamWriter] = []
            for _ in range(150):
                before = list(counts)
                if clients and rng.random() < 0.4:
                    clients.pop(rng.randrange(len(clients))).close()
                    await soon(counts, len(clients))
                else:
                    clients.append(await connect(port))
                    await soon(counts, len(clients))
                    (taker,) = [number for number in range(3) if counts[number] > before[number]]
                    assert before[taker] <= min(before) + min(before) // 8
                assert counts == [len(server.server_state.connections) for server in servers]

    asyncio.run(scenario())


def test_one_that_takes_none_keeps_nobody_waiting() -> None:
    async def scenario() -> None:
        async with workers(2) as (servers, counts, port):
            hangs = servers[0]._taking
            assert hangs is not None
            hangs.cancel()  # it has no connection, and takes none
            kept = await asyncio.gather(*(connect(port) for _ in range(5)))
            await soon(counts, 5)
            assert counts == [0, len(kept)]

    asyncio.run(scenario())


def test_one_that_ends_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PATIENCE_S", 1000.0)

    async def scenario() -> None:
        async with workers(2) as (servers, counts, port):
            first = await connect(port)
            await soon(counts, 1)
            await servers[0].shutdown([])
            assert counts[0] == CLOSED
            first.close()
            kept = await asyncio.gather(*(connect(port) for _ in range(5)))
            await soon(counts, CLOSED + 5)
            assert counts == [CLOSED, len(kept)]

    asyncio.run(scenario())


def test_a_fault_as_connections_are_taken_ends_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with workers(1) as (servers, _, port):
            monkeypatch.setattr(servers[0], "_may_take", lambda _: 1 // 0)
            kept = await connect(port)
            while not servers[0].should_exit:
                await asyncio.sleep(0.001)
            monkeypatch.undo()
            servers[0]._taking = None
            kept.close()

    asyncio.run(scenario())
