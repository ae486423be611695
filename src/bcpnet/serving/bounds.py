"""What a client may use up: bytes, pixels, places in the queue, time and connections. And how it is refused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from starlette.requests import Request

_MIB = 1 << 20


@dataclass(frozen=True)
class Bounds:
    """All of one worker process, but for those of a request.

    Attributes:
        request_mib: body of a request, or a message of a stream, in MiB.
        megapixels: of one image.
        side: longest of one image, in pixels: the regions of an image of few columns take minutes.
        images: in one request.
        queue: requests that wait for a thread.
        wait_s: how long a request waits for a thread, in seconds.
        hold_s: how long a request is held back, and no longer than `wait_s`, before it is refused because the queue is
            full.
        connections: open at once.
        bodies_mib: bodies of all requests that are being received, wait or run, in MiB.
        receive_s: from the first byte of a request, or from the start of a connection, to the request's last.
        send_s: how long a client may read nothing of an answer.
        idle_s: how long a connection may lie idle between two requests.
        hang_s: how long a worker may give no sign of life before it is killed, and another one started.
        job_s: how long a thread may work on one request before its worker gives no more sign of life.
        drain_s: how long the requests that run may still take once the service is told to stop.
    """

    request_mib: int = 32
    megapixels: int = 20
    side: int = 8192
    images: int = 16
    queue: int = 64
    wait_s: float = 10.0
    hold_s: float = 4.0
    connections: int = 512
    bodies_mib: int = 256
    receive_s: float = 30.0
    send_s: float = 30.0
    idle_s: float = 10.0
    hang_s: float = 10.0
    job_s: float = 300.0
    drain_s: float = 30.0

    @property
    def request_bytes(self) -> int:
        """`request_mib` in bytes."""
        return self.request_mib * _MIB


class RefusedError(Exception):
    """A request that gets no result.

    Attributes:
        status: HTTP's.
        retry_after_s: when the client may try again, in seconds; None = the request would be refused again.
    """

    def __init__(self, status: int, message: str, retry_after_s: int | None = None) -> None:
        """The message is for the client: what is wrong, and what to do."""
        super().__init__(message)
        self.status = status
        self.retry_after_s = retry_after_s


class Bodies:
    """Counts the bytes of all bodies in memory.

    Attributes:
        held: in bytes.
    """

    def __init__(self, most_bytes: int) -> None:
        """None held yet."""
        self.held = 0
        self._most = most_bytes

    @contextmanager
    def of_one_request(self) -> Iterator[Body]:
        """A body that grows; it is given back at the end of the block."""
        body = Body(self)
        try:
            yield body
        finally:
            self.held -= body.size

    def hold(self, size: int) -> None:
        """Raises RefusedError (503) where there is no room for so many bytes more; fewer than 0 give some back."""
        if size > 0 and self.held + size > self._most:
            raise RefusedError(503, "too many large requests at once: try again later", 1)
        self.held += size


class Body:
    """The bytes of one request.

    Attributes:
        size: in bytes.
    """

    def __init__(self, bodies: Bodies) -> None:
        """Empty."""
        self.size = 0
        self._bodies = bodies

    def resize(self, size: int) -> None:
        """Holds so many bytes from now on. Raises RefusedError (503) where there is no room, and stays as it was."""
        self._bodies.hold(size - self.size)
        self.size = size

    async def receive(self, request: Request, most_bytes: int) -> bytes:
        """The whole body.

        Raises:
            RefusedError: 413 for more than `most_bytes`, 415 for a compressed body, 503 where there is no room.
            ClientDisconnect: the client went.
        """
        too_large = RefusedError(413, f"the request is larger than {most_bytes // _MIB} MiB, the most that is read")
        length = request.headers.get("content-length", "0")
        if len(length) > 12 or (length.isdecimal() and int(length) > most_bytes):
            raise too_large
        if request.headers.get("content-encoding", "identity") != "identity":
            raise RefusedError(415, "compressed requests are not read: send the image file as it is")
        chunks = []
        async for chunk in request.stream():
            if self.size + len(chunk) > most_bytes:
                raise too_large
            self.resize(self.size + len(chunk))
            chunks.append(chunk)
        return b"".join(chunks)
