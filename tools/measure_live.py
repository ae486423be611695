"""Measures how old results are that come of a camera's stream, into one JSON file.

    python tools/measure_live.py [--minutes 10] [--out results/live.json] [--size 360x640] [--threads 2]

Serves a street of 1080p over RTSP on this machine, 30 frames a second in H.264 (`tools/rtsp_server.py`, which see for
what it needs), and segments it with the weights `camvid`, as `bcpnet predict rtsp://... --save` does. Every frame
carries its number in its pictures, so that its age counts from when the server sent it, not only from when its first
byte was received. Memory is the resident set of this process. The server takes a few percent of a core, which is not
left out.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

import bcpnet
from bcpnet.benchmark.scenes import draw_scenes
from bcpnet.cli.common import parse_size
from bcpnet.machine import describe_machine
from bcpnet.media.live.address import parse_address
from bcpnet.media.live.open import source_of
from bcpnet.media.sources import BadFrame, MediaItem
from bcpnet.pipeline import divide_threads
from bcpnet.prediction.live import Ages
from bcpnet.prediction.outputs import Outputs
from bcpnet.prediction.predict import predict
from bcpnet.storage.files import write_bytes

ROOT = Path(__file__).resolve().parents[1]
FPS = 30
SIZE_HW = 1080, 1920
CIRCLE = 256  # frames, which the server sends over and over
BITS, BIT_PIXELS = 8, 24
WARM_UP_S = 5.0
SETTLED_S = 60.0  # memory at the start is that after a minute, or after a third of a shorter time
PYTHONS = (sys.executable, "/usr/bin/python3")


def mark(picture: npt.NDArray[np.uint8], number: int) -> None:
    """Draws the number into the upper left corner, black or white squares."""
    for bit in range(BITS):
        left = bit * BIT_PIXELS
        picture[:BIT_PIXELS, left : left + BIT_PIXELS] = 235 if number >> bit & 1 else 16


def number_of(picture: npt.NDArray[np.uint8]) -> int:
    """What `mark` drew."""
    squares = picture[4 : BIT_PIXELS - 4, : BITS * BIT_PIXELS].mean(axis=(0, 2)).reshape(BITS, BIT_PIXELS)
    return sum(1 << bit for bit, grey in enumerate(squares[:, 4:-4].mean(axis=1)) if grey > 126)


def write_street(path: Path) -> None:
    """A street that the camera pans over, 1080p H.264, a key frame every second."""
    height, width = SIZE_HW
    street = draw_scenes((height, 2 * width))[0]
    options = {"preset": "veryfast", "tune": "zerolatency", "x264-params": f"aud=1:repeat-headers=1:keyint={FPS}"}
    with av.open(str(path), "w", format="h264") as output:
        stream = output.add_stream("libx264", rate=FPS, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.bit_rate = 6_000_000
        for number in range(CIRCLE):
            left = round(width / 2 * (1 - np.cos(2 * np.pi * number / CIRCLE)))
            picture = np.ascontiguousarray(street[:, left : left + width])
            mark(picture, number)
            output.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        output.mux(stream.encode(None))


@contextmanager
def camera(path: Path, log: Path) -> Iterator[str]:
    """Serves the file; yields the address."""
    check = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"
    python = next((p for p in PYTHONS if subprocess.run([p, "-c", check], capture_output=True).returncode == 0), None)
    if python is None:
        sys.exit("no GStreamer RTSP server here: see tools/rtsp_server.py for what to install")
    command = [python, str(ROOT / "tools" / "rtsp_server.py"), str(path), "--fps", str(FPS), "--log", str(log)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout
            yield server.stdout.readline().strip()
        finally:
            server.kill()


class Sent:
    """When each frame was sent, by the server's log."""

    def __init__(self, log: Path) -> None:
        """The log grows while it is read."""
        self._file = log.open()
        self._at_s: list[float] = []

    def age_s(self, number: int, now_s: float) -> float:
        """Of the last frame with that number, of `CIRCLE`, that was sent before now."""
        self._at_s += [int(line.split(",")[1]) / 1e9 for line in self._file]
        last = len(self._at_s) - 1
        return now_s - self._at_s[last - (last - number) % CIRCLE]


def rss_mib() -> float:
    """Resident memory of this process."""
    return int(re.search(r"VmRSS:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1024  # type: ignore[index]


def measure(url: str, log: Path, minutes: float, size_hw: tuple[int, int], threads: int | None) -> dict[str, Any]:
    """Segments the stream for so long."""
    workers, each = divide_threads(threads, 1)
    segmenter = bcpnet.load("camvid", threads=each, size_hw=size_hw)
    address = parse_address(url)
    assert address is not None
    source = source_of(address, duration_s=60 * minutes + WARM_UP_S)
    item = MediaItem(Path("street"), "street", is_video=True, source=source)
    from_sending, from_receiving = Ages(), Ages()
    frames = dropped = lost = 0
    memory: list[tuple[float, float]] = []
    stages: dict[str, float] = {}
    start_s = cpu_s = 0.0
    with closing(predict([item], segmenter, Outputs(Path("unused")), workers)) as results:
        sent: Sent | None = None
        first_s = time.monotonic()
        for result in results:
            now_s = time.monotonic()
            if isinstance(result, BadFrame):
                sys.exit(str(result.error))
            assert result.frame.received is not None
            if now_s - first_s < WARM_UP_S:
                start_s, cpu_s = now_s, time.process_time()
                continue
            sent = sent or Sent(log)
            assert result.age_ms is not None
            frames += 1
            dropped += result.frame.received.dropped
            lost += result.frame.received.dropped > FPS
            from_receiving.add(result.age_ms)
            from_sending.add(1000 * sent.age_s(number_of(result.frame.image), now_s))
            for stage, ms in result.timings_ms.items():
                stages[stage] = stages.get(stage, 0.0) + ms
            if not memory or now_s - start_s - memory[-1][0] >= 1:
                memory.append((now_s - start_s, rss_mib()))
        seconds = time.monotonic() - start_s
    settled_s = min(SETTLED_S, seconds / 3)
    settled = [mib for at_s, mib in memory if at_s >= settled_s]
    return {
        "seconds": round(seconds, 1),
        "frames": frames,
        "frames_per_second": round(frames / seconds, 2),
        "dropped": dropped,
        "gaps_over_a_second": lost,
        "age_ms_from_sending": {f"p{percent}": from_sending.percentile_ms(percent) for percent in (50, 95, 99, 100)},
        "age_ms_from_receiving": {
            f"p{percent}": from_receiving.percentile_ms(percent) for percent in (50, 95, 99, 100)
        },
        "ms": {stage: round(ms / frames, 2) for stage, ms in stages.items()},
        "cpu_cores_used": round((time.process_time() - cpu_s) / seconds, 2),
        "memory_mib": {"start": round(settled[0], 1), "end": round(settled[-1], 1), "most": round(max(settled), 1)},
        "backend": segmenter.backend.name,
        "workers": workers,
        "threads": each,
    }


def main(arguments: list[str] | None = None) -> int:
    """Measures, and writes the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "live.json")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--size", default="360x640")
    parser.add_argument("--threads", type=int)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        street, log = Path(folder) / "street.h264", Path(folder) / "sent.csv"
        write_street(street)
        with camera(street, log) as url:
            figures = measure(url, log, options.minutes, parse_size(options.size), options.threads)
        bit_rate = 8 * street.stat().st_size * FPS / CIRCLE
    report = {
        "command": " ".join(["python tools/measure_live.py", *(sys.argv[1:] if arguments is None else arguments)]),
        "stream": {"size_hw": SIZE_HW, "fps": FPS, "codec": "H.264", "bit_rate": round(bit_rate), "protocol": "RTSP"},
        "network_size_hw": parse_size(options.size),
        "load_before": os.getloadavg()[0],
        **figures,
        "machine": describe_machine(),
    }
    write_bytes(options.out, (json.dumps(report, indent=1) + "\n").encode())
    print(json.dumps(figures, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
