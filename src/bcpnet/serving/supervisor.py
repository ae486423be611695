"""The parent of the worker processes: binds, starts them, replaces those that die or hang, and stops them in order."""

from __future__ import annotations

import ipaddress
import multiprocessing
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import wait
from typing import Any

from bcpnet.errors import InputError, UsageError
from bcpnet.serving.logs import event, log_to_stderr
from bcpnet.serving.metrics import CELLS
from bcpnet.serving.page import NO_PAGE, has_page
from bcpnet.serving.server import CLOSED
from bcpnet.serving.worker import BEAT_S, Shared, WorkerOptions, run_worker

_BACKLOG = 128
_QUICK_DEATH_S = 5.0  # a worker that lived no longer than this is started again only after a pause
_PAUSE_S = 1.0
_MORE_THAN_DRAIN_S = 5.0
_CONTEXT = multiprocessing.get_context("spawn")  # a fork would take the threads' locks along


def serve(options: WorkerOptions, host: str, port: int, workers: int, ready: Callable[[str], None]) -> None:
    """Serves until SIGTERM or Ctrl-C, which arrive as KeyboardInterrupt; then lets requests that run end.

    Args:
        options: of each worker.
        host: name or address to bind.
        port: 0 = one that is free.
        workers: how many processes.
        ready: is called with the service's address once every worker takes requests.

    Raises:
        UsageError, InputError: nothing can be bound there, or the weights cannot be opened.
    """
    log_to_stderr(None)
    with _bound(host, port) as listener:
        supervisor = _Supervisor(options, listener, workers)
        try:
            supervisor.start()
            if not has_page(options.access.page):
                event("no_page", hint=NO_PAGE)
            ready(_address(listener))
            supervisor.watch()
        except KeyboardInterrupt:
            event("draining")
        finally:
            listener.close()
            supervisor.stop()


def is_loopback(host: str) -> bool:
    """Whether only programs on this machine reach that host."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class _Supervisor:
    def __init__(self, options: WorkerOptions, listener: socket.socket, workers: int) -> None:
        self._options, self._listener = options, listener
        self._shared = Shared(
            _CONTEXT.RawArray("d", CELLS * workers), _CONTEXT.RawArray("L", workers), _CONTEXT.RawArray("L", workers)
        )
        self._heard = [0] * workers  # the last beat of each
        self._silent_s = [0.0] * workers
        self._processes: list[Any] = [None] * workers
        self._receivers: list[Any] = [None] * workers  # kept open: a worker says when it has started
        self._started_at = [0.0] * workers

    def start(self) -> None:
        """Starts all; returns once they take requests. Raises what one of them says is wrong with the weights."""
        for number in range(len(self._processes)):
            self._start(number)
        for receiver, process in zip(self._receivers, self._processes, strict=True):
            try:
                error = receiver.recv()
            except EOFError:
                process.join()
                raise InputError(f"a worker process ended as it started, with exit code {process.exitcode}") from None
            if error is not None:
                raise error

    def watch(self) -> None:
        """Replaces workers that die or hang, forever."""
        while True:
            if not wait([process.sentinel for process in self._processes], BEAT_S):
                self._kill_silent()
                continue
            for number, process in enumerate(self._processes):
                if process.exitcode is None:
                    continue
                event("worker_died", number=number, exit_code=process.exitcode)
                if time.monotonic() - self._started_at[number] < _QUICK_DEATH_S:
                    time.sleep(_PAUSE_S)
                self._start(number)

    def _kill_silent(self) -> None:
        """Kills workers that hang. To be called once in BEAT_S.

        It counts its own calls, not the clock: where all processes were stopped for a while, none is taken to hang.
        """
        for number, process in enumerate(self._processes):
            beat = self._shared.beats[number]
            self._silent_s[number] = 0.0 if beat != self._heard[number] else self._silent_s[number] + BEAT_S
            self._heard[number] = beat
            bounds = self._options.bounds
            if self._silent_s[number] >= (bounds.hang_s if beat else bounds.job_s):  # 0: its models are being opened
                event("worker_hangs", number=number)
                process.kill()

    def stop(self) -> None:
        """Lets workers end what they do; kills those that do not come to an end, or all at a second Ctrl-C."""
        running = [process for process in self._processes if process is not None]
        for process in running:
            process.terminate()
        until = time.monotonic() + self._options.bounds.drain_s + _MORE_THAN_DRAIN_S
        with suppress(KeyboardInterrupt):
            for process in running:
                process.join(max(0.0, until - time.monotonic()))
        for process in running:
            process.kill()
            process.join()

    def _start(self, number: int) -> None:
        self._shared.beats[number] = self._heard[number] = 0
        self._shared.connections[number] = CLOSED
        self._silent_s[number] = 0.0
        receiver, sender = _CONTEXT.Pipe(duplex=False)
        process = _CONTEXT.Process(
            target=run_worker,
            args=(self._options, self._listener, sender, self._shared, number),
            name=f"worker_{number}",
        )
        process.start()
        sender.close()  # the worker has its own end: once it dies, ours reads the end
        self._processes[number] = process
        self._receivers[number] = receiver
        self._started_at[number] = time.monotonic()


def _bound(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(_BACKLOG)
        except OSError:
            listener.close()
            raise
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"{host}:{port}: cannot listen there: {reason}; choose another --host or --port") from error
    return listener


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
