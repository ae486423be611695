"""Serves an H.264 file over RTSP, over and over, as a camera would: GStreamer's RTSP server, on this machine only.

    python3 tools/rtsp_server.py street.h264 --fps 30 [--port 0] [--log sent.csv]

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

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

_PIPELINE = (
    "( appsrc name=frames is-live=true format=time do-timestamp=true"
    " caps=video/x-h264,stream-format=byte-stream,alignment=au,framerate={fps}/1"
    " ! h264parse ! rtph264pay name=pay0 config-interval=-1 )"
)


def access_units(stream: bytes) -> list[bytes]:
    """The frames of an Annex B stream, each of which starts with an access unit delimiter (NAL type 9)."""
    starts = [match.start() for match in re.finditer(rb"\x00\x00\x00\x01\x09", stream)]
    return [stream[start:end] for start, end in zip(starts, [*starts[1:], len(stream)], strict=True)]


class Camera:
    """Sends frames to whoever watches, one every 1/fps seconds."""

    def __init__(self, units: list[bytes], fps: int, log: Path | None) -> None:
        """`units` are sent in a circle."""
        self._units = units
        self._fps = fps
        self._log = log.open("w", buffering=1) if log else None

    def watch(self, factory: GstRtspServer.RTSPMediaFactory, media: GstRtspServer.RTSPMedia) -> None:
        """Somebody connects."""
        del factory
        frames = media.get_element().get_by_name_recurse_up("frames")
        ended = threading.Event()
        media.connect("unprepared", lambda _: ended.set())
        threading.Thread(target=self._send, args=(frames, ended), daemon=True).start()

    def _send(self, frames: Gst.Element, ended: threading.Event) -> None:
        start_s = time.monotonic()
        number = 0
        while not ended.wait(max(0.0, start_s + number / self._fps - time.monotonic())):
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
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--log", type=Path)
    options = parser.parse_args()
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(str(options.port))
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(_PIPELINE.format(fps=options.fps))
    factory.set_shared(True)
    factory.set_latency(0)
    factory.connect("media-configure", Camera(access_units(options.file.read_bytes()), options.fps, options.log).watch)
    server.get_mount_points().add_factory("/street", factory)
    if not server.attach(None):
        print(f"port {options.port} is taken", file=sys.stderr)
        return 1
    print(f"rtsp://127.0.0.1:{server.get_bound_port()}/street", flush=True)
    GLib.MainLoop().run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
