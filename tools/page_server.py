"""Serves a folder on a port of this machine that the system picks, as `bcpnet serve` serves the page."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# Method, path and body of a request -> status, headers and body of the answer; None = a file of the folder.
Answer = Callable[[str, str, bytes], tuple[int, dict[str, str], bytes] | None]

ISOLATED = {"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp"}


@contextmanager
def serve_folder(folder: Path, isolated: bool = True, answer: Answer | None = None) -> Iterator[str]:
    """The address of the folder, while the `with` block lasts. Isolated pages may use threads."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        extensions_map = {  # noqa: RUF012  # as in the class above it
            **http.server.SimpleHTTPRequestHandler.extensions_map, ".mjs": "text/javascript",
            ".js": "text/javascript", ".wasm": "application/wasm", ".onnx": "application/octet-stream",
        }  # fmt: skip

        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments, directory=str(folder))

        def end_headers(self) -> None:
            for name, value in ISOLATED.items() if isolated else ():
                self.send_header(name, value)
            super().end_headers()

        def do_GET(self) -> None:  # the name that http.server calls
            if not self.answered("GET"):
                super().do_GET()

        def do_POST(self) -> None:
            if not self.answered("POST"):
                self.send_error(405)

        def answered(self, method: str) -> bool:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            said = answer(method, self.path, body) if answer else None
            if said is None:
                return False
            status, headers, content = said
            self.send_response(status)
            for name, value in {"Content-Length": str(len(content)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)
            return True

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()
