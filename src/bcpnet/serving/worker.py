"""One worker process: its models, its threads, its HTTP server on the socket that all workers share."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import socket
from collections.abc import Callable, MutableSequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import NamedTuple

import uvicorn

from bcpnet.errors import InputError, UsageError
from bcpnet.serving.app import build_app
from bcpnet.serving.bounds import Bounds
from bcpnet.serving.jobs import Jobs
from bcpnet.serving.logs import event, log_to_stderr
from bcpnet.serving.metrics import Metrics
from bcpnet.serving.models import open_models
from bcpnet.serving.protocol import bounded_protocol
from bcpnet.serving.server import Server
from bcpnet.serving.service import Access, Service
from bcpnet.serving.stream_protocol import bounded_stream_protocol

BEAT_S = 1.0  # between two signs of life


@dataclass(frozen=True)
class WorkerOptions:
    """What every worker is started with.

    Attributes:
        weights, backend, size_hw: as for `bcpnet.load`; several weights.
        threads: of this worker: images segmented at once.
        bounds: what clients may use up.
        access: who may use the service.
    """

    weights: tuple[str, ...]
    backend: str | None
    size_hw: tuple[int, int] | None
    threads: int
    bounds: Bounds
    access: Access


class Shared(NamedTuple):
    """Memory that all workers share, each with a part of its own.

    Attributes:
        cells: of `bcpnet.serving.metrics`.
        beats: counted up every second by a worker that answers.
        connections: how many are open, as `bcpnet.serving.server` has them.
    """

    cells: MutableSequence[float]
    beats: MutableSequence[int]
    connections: MutableSequence[int]


def run_worker(
    options: WorkerOptions, listener: socket.socket, started: Connection, shared: Shared, number: int
) -> None:
    """Serves until SIGTERM, or until the parent process ends; then takes no more requests and ends those that run.

    Args:
        options: what to serve.
        listener: bound; all workers accept from it.
        started: gets None once the models are open, or the exception that says why they cannot be.
        shared: with the other workers.
        number: of this worker.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all processes; the parent decides
    log_to_stderr(number)
    try:
        service = Service(
            open_models(options.weights, options.backend, options.size_hw),
            Jobs(options.threads, options.bounds),
            Metrics(shared.cells, number),
            options.bounds,
            options.access,
        )
        app = build_app(service)
    except InputError as error:
        started.send(type(error)(str(error)) if type(error) is UsageError else InputError(str(error)))
        return
    config = uvicorn.Config(
        app,
        http=bounded_protocol(options.bounds),
        ws=bounded_stream_protocol(options.bounds, service.bodies),
        ws_max_size=options.bounds.request_bytes,
        ws_per_message_deflate=False,
        lifespan="off",
        loop="asyncio",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=round(options.bounds.idle_s),
        timeout_graceful_shutdown=round(options.bounds.drain_s),
    )
    _beat(shared.beats, number)  # the models are open: from now on it may be silent for `hang_s` only
    event("started", threads=options.threads, pid=os.getpid())
    started.send(None)
    server = Server(config, options.bounds.connections, shared.connections, number)
    asyncio.run(_serve(server, service, listener, lambda: _beat(shared.beats, number)))
    service.jobs.close()
    event("stopped")


def _beat(beats: MutableSequence[int], number: int) -> None:
    beats[number] += 1


async def _serve(server: uvicorn.Server, service: Service, listener: socket.socket, beat: Callable[[], None]) -> None:
    service.connections = server.server_state.connections  # type: ignore[assignment]
    loop = asyncio.get_running_loop()
    parent = multiprocessing.parent_process()
    if parent is not None:

        def stop() -> None:
            server.should_exit = True
            loop.remove_reader(parent.sentinel)

        with suppress(NotImplementedError):  # on Windows: a worker outlives a parent that is killed there
            loop.add_reader(parent.sentinel, stop)
    # uvicorn takes this signal while it serves, and raises it once more at the end: for this handler then.
    signal.signal(signal.SIGTERM, lambda *_: setattr(server, "should_exit", True))
    telling = asyncio.ensure_future(_tell(service, beat))
    try:
        await server.serve([listener])
    finally:
        telling.cancel()
        with suppress(asyncio.CancelledError):
            await telling


async def _tell(service: Service, beat: Callable[[], None]) -> None:
    """Writes the gauges, and gives a sign of life unless a thread hangs."""
    while True:
        service.tell_gauges()
        if service.jobs.oldest_s() < service.bounds.job_s:
            beat()
        await asyncio.sleep(BEAT_S)
