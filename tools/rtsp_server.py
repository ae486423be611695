"""Serves a file over RTSP, over and over, as a camera would: GStreamer's RTSP server, on this machine only.

    python3 tools/rtsp_server.py street.h264 --fps 30 [--port 0] [--frames 300] [--log sent.csv]

The file is bare H.264 or H.265 (`.h264`, `.h265`; with access unit delimiters) or JPEGs (`.mjpeg`). After `--frames`
it sends nothing more, and keeps the connection.

Needs GStreamer with its Python bindings: on Debian and Ubuntu
`apt install python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-good gstreamer1.0-plugins-bad`,
and the Python of the system, which has them. It prints its address, then runs until it is killed. `--log` gets a line
for every frame sent: its number, and when, in nanoseconds of the machine's monotonic clock.
"""

from __future__ import annotations

import argparse
import re
import sys
import threading
import time
from pathlib import Path
from typing import NamedTuple

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

_PIPELINE = (
    "( appsrc name=frames is-live=true format=time do-timestamp=true caps={caps},framerate={fps}/1"
    " ! {payloader} name=pay0 )"
)


class Form(NamedTuple):
    """What is in a file: its caps, what packs it into RTP, and how each frame of it starts."""

    caps: str
    payloader: str
    start: bytes


_BYTES = "stream-format=byte-stream,alignment=au"
_FORMS = {
    ".h264": Form(f"video/x-h264,{_BYTES}", "h264parse ! rtph264pay config-interval=-1", rb"\x00\x00\x00\x01\x09"),
    ".h265": Form(f"video/x-h265,{_BYTES}", "h265parse ! rtph265pay config-interval=-1", rb"\x00\x00\x00\x01\x46"),
    ".mjpeg": Form("image/jpeg", "jpegparse ! rtpjpegpay", rb"\xff\xd8\xff"),
}


def access_units(stream: bytes, start: bytes) -> list[bytes]:
    """The frames of a file."""
    starts = [match.start() for match in re.finditer(start, stream, re.DOTALL)]
    return [stream[first:end] for first, end in zip(starts, [*starts[1:], len(stream)], strict=True)]


class Camera:
    """Sends frames to whoever watches, one every 1/fps seconds."""

    def __init__(self, units: list[bytes], fps: int, frames: int | None, log: Path | None) -> None:
        """`units` are sent in a circle, so many frames in all; None = for ever."""
        self._units = units
        self._fps = fps
        self._frames = frames
        self._log = log.open("w", buffering=1) if log else None

    def watch(self, factory: GstRtspServer.RTSPMediaFactory, media: GstRtspServer.RTSPMedia) -> None:
        """Somebody connects."""
        del factory
        frames = media.get_element().get_by_name_recurse_up("frames")
        ended = threading.Event()
        media.connect("unprepared", lambda _: ended.set())
        threading.Thread(target=self._send, args=(frames, ended), daemon=True).start()

    def _send(self, frames: Gst.Element, ended: threading.Event) -> None:
        # What is pushed before has no time. GStreamer then makes one up, which may lie ahead, and waits until it comes.
        while frames.get_state(0).state != Gst.State.PLAYING:
            if ended.wait(0.005):
                return
        start_s = time.monotonic()
        number = 0
        while number != self._frames and not ended.wait(max(0.0, start_s + number / self._fps - time.monotonic())):
            buffer = Gst.Buffer.new_wrapped(self._units[number % len(self._units)])
            if self._log:
                self._log.write(f"{number},{time.monotonic_ns()}\n")
            if frames.emit("push-buffer", buffer) != Gst.FlowReturn.OK:
                return
            number += 1


def main() -> int:
    """Serves until it is killed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--fps", type=int, default=30)
    parser.add_argument("--frames", type=int)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--log", type=Path)
    options = parser.parse_args()
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(str(options.port))
    factory = GstRtspServer.RTSPMediaFactory()
    form = _FORMS[options.file.suffix]
    factory.set_launch(_PIPELINE.format(caps=form.caps, fps=options.fps, payloader=form.payloader))
    factory.set_shared(True)
    factory.set_latency(0)
    units = access_units(options.file.read_bytes(), form.start)
    factory.connect("media-configure", Camera(units, options.fps, options.frames, options.log).watch)
    server.get_mount_points().add_factory("/street", factory)
    if not server.attach(None):
        print(f"port {options.port} is taken", file=sys.stderr)
        return 1
    print(f"rtsp://127.0.0.1:{server.get_bound_port()}/street", flush=True)
    GLib.MainLoop().run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
