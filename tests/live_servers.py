"""Real servers on this machine for the tests of live sources, and pictures that carry a number."""

from __future__ import annotations

import io
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
_BITS = 12
_BOUNDARY = b"frame"


def numbered(number: int, height: int = 48, width: int = 96) -> npt.NDArray[np.uint8]:
    """A picture that says its number, to 4095, in twelve stripes: lossy codecs do not hide it."""
    bits = [number >> bit & 1 for bit in range(_BITS)]
    row = np.repeat(np.array(bits, np.uint8) * 200 + 20, width // _BITS)
    return np.ascontiguousarray(np.broadcast_to(row[None, :, None], (height, row.size, 3)))


def number_of(image: npt.NDArray[np.uint8]) -> int:
    """What `numbered` put there."""
    stripes = image.mean(axis=(0, 2)).reshape(_BITS, -1).mean(axis=1)
    return sum(1 << bit for bit, grey in enumerate(stripes) if grey > 120)


def jpeg(image: npt.NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=90)
    return file.getvalue()


@contextmanager
def http_server(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[str]:
    """Answers every GET with `answer`; yields the address, "http://127.0.0.1:PORT"."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with suppress(OSError):  # the client has gone
                answer(self)
            self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def send_mjpeg(handler: BaseHTTPRequestHandler, jpegs: Iterable[bytes]) -> None:
    """Motion JPEG, as IP cameras send it."""
    handler.send_response(200)
    handler.send_header("Content-Type", f"multipart/x-mixed-replace; boundary={_BOUNDARY.decode()}")
    handler.end_headers()
    for data in jpegs:
        head = b"--" + _BOUNDARY + b"\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(data)
        handler.wfile.write(head + data + b"\r\n")
        handler.wfile.flush()


def paced(count: int, fps: float, first: int = 0) -> Iterator[bytes]:
    """JPEGs of numbered pictures, so many a second."""
    start_s = time.monotonic()
    for index in range(count):
        time.sleep(max(0.0, start_s + index / fps - time.monotonic()))
        yield jpeg(numbered(first + index))


def write_numbered(path: Path, count: int, container: str | None = None, fps: int = 25) -> Path:
    """A video of numbered pictures, H.264, with a key frame every ten."""
    options = {"preset": "ultrafast", "tune": "zerolatency", "x264-params": "aud=1:repeat-headers=1:keyint=10"}
    with av.open(str(path), "w", format=container) as output:
        stream = output.add_stream("libx264", rate=fps, options=options)
        stream.width, stream.height, stream.pix_fmt = 96, 48, "yuv420p"
        for index in range(count):
            output.mux(stream.encode(av.VideoFrame.from_ndarray(numbered(index), format="rgb24")))
        output.mux(stream.encode(None))
    return path


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """One that nobody uses at the moment."""
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@contextmanager
def sending_ts(path: Path, port: int, fps: float = 100) -> Iterator[None]:
    """Sends an MPEG-TS file over UDP, over and over, as an encoder in the street does."""
    stopped = threading.Event()
    data = path.read_bytes()

    def send() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            while not stopped.is_set():
                for start in range(0, len(data), 7 * 188):
                    out.sendto(data[start : start + 7 * 188], ("127.0.0.1", port))
                    if stopped.wait(1 / fps):
                        return

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()


def python_with_gstreamer() -> str:
    """A Python that has GStreamer's RTSP server, or a skip."""
    script = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"
    for python in (sys.executable, shutil.which("python3", path="/usr/bin")):
        if python and subprocess.run([python, "-c", script], capture_output=True, check=False).returncode == 0:
            return python
    pytest.skip("no GStreamer RTSP server: apt install gir1.2-gst-rtsp-server-1.0 python3-gi gstreamer1.0-plugins-bad")


@contextmanager
def rtsp_server(path: Path, port: int = 0, fps: int = 30) -> Iterator[str]:
    """Serves an H.264 file over RTSP; yields the address."""
    command = [python_with_gstreamer(), str(ROOT / "tools" / "rtsp_server.py"), str(path), "--fps", str(fps)]
    with subprocess.Popen([*command, "--port", str(port)], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            yield process.stdout.readline().strip()
        finally:
            process.kill()
