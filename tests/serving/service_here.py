"""A service in this process, and one in processes of its own, for the tests."""
# ruff: noqa: E402 - what imports this is skipped where the extra is missing, before anything of it is imported

from __future__ import annotations

import io
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from media_files import scene
from PIL import Image

for _package in ("starlette", "uvicorn", "multipart", "websockets"):
    pytest.importorskip(_package, reason="the service needs the extra [serve]")

from bcpnet.serving.app import build_app
from bcpnet.serving.bounds import Bounds
from bcpnet.serving.jobs import Jobs
from bcpnet.serving.metrics import CELLS, Metrics
from bcpnet.serving.models import Models, open_models
from bcpnet.serving.service import Access, Service

SIZE_HW = (64, 96)
PICTURE = scene(3, 45, 61)


def encoded(picture: npt.NDArray[np.uint8] = PICTURE, kind: str = "PNG", **options: Any) -> bytes:
    """An image file."""
    data = io.BytesIO()
    Image.fromarray(picture).save(data, kind, **options)
    return data.getvalue()


def pixels(file: bytes) -> npt.NDArray[np.uint8]:
    """What Pillow reads from it."""
    return np.asarray(Image.open(io.BytesIO(file)))


def small_models() -> Models:
    """The weights that ship, on small inputs."""
    return open_models(("camvid",), None, SIZE_HW)


def new_service(models: Models, bounds: Bounds | None = None, access: Access | None = None) -> Service:
    """One of one worker with two threads."""
    bounds = bounds or Bounds()
    return Service(models, Jobs(2, bounds), Metrics([0.0] * CELLS), bounds, access or Access())


def client_of(service: Service) -> Any:
    """Starlette's client: no socket between."""
    testclient = pytest.importorskip("starlette.testclient", reason="the tests' client needs httpx")
    return testclient.TestClient(build_app(service), raise_server_exceptions=False)


@dataclass
class Server:
    """`bcpnet serve` as a user starts it.

    Attributes:
        process: the parent of the workers.
        port: on the loopback.
        log: of all its processes.
    """

    process: subprocess.Popen[str]
    port: int
    log: Path

    @property
    def address(self) -> str:
        """For HTTP clients."""
        return f"http://127.0.0.1:{self.port}"

    def connect(self) -> socket.socket:
        """A connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)

    def events(self, what: str) -> list[dict[str, Any]]:
        """The log's lines of one event. Every line is JSON."""
        lines = [json.loads(line) for line in self.log.read_text().splitlines()]
        return [line for line in lines if line["event"] == what]


@contextmanager
def running(
    folder: Path, *arguments: str, code: str = "import sys, bcpnet.cli; sys.exit(bcpnet.cli.main())"
) -> Iterator[Server]:
    """Starts one on a free port, by this code, and ends it."""
    log = folder / "log.jsonl"
    command = [sys.executable, "-c", code, "serve", "--port", "0", "--size", "{}x{}".format(*SIZE_HW), *arguments]
    with log.open("w") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert address, log.read_text()
        yield Server(process, int(address.rpartition(":")[2]), log)
    finally:
        process.terminate()
        try:
            process.wait(60)
        finally:
            process.kill()
            if process.stdout is not None:
                process.stdout.close()


def post(body: bytes, path: str = "/v1/segment", headers: str = "") -> bytes:
    """A request as bytes."""
    return f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body


def answer_of(connection: socket.socket) -> tuple[int, bytes]:
    """Status and body of one answer; (0, b"") where the server only closed."""
    file = connection.makefile("rb")
    status_line = file.readline()
    if not status_line:
        return 0, b""
    length = 0
    while (line := file.readline().strip().lower()) != b"":
        if line.startswith(b"content-length:"):
            length = int(line.partition(b":")[2])
    return int(status_line.split()[1]), file.read(length)
