"""RTSP from GStreamer's server: every codec, and frames that do not wait for the next one to come."""

from __future__ import annotations

import itertools
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import pytest
from live_servers import ROOT, jpeg, number_of, numbered, python_with_gstreamer

from bcpnet.media.live import access_units, connect
from bcpnet.media.live.address import parse_address
from bcpnet.media.live.open import source_of

COUNT = 160  # at 100 frames/s; some are sent before the connection is made
X265 = "aud=1:repeat-headers=1:keyint=10:bframes=0:log-level=none"
X264 = "aud=1:repeat-headers=1:keyint=10"


def write(path: Path, slices: int = 1) -> Path:
    """Numbered pictures; with more than one slice each where it is H.264."""
    if path.suffix == ".mjpeg":
        path.write_bytes(b"".join(jpeg(numbered(number)) for number in range(COUNT)))
        return path
    name, params = ("libx265", "x265-params") if path.suffix == ".h265" else ("libx264", "x264-params")
    if name not in av.codecs_available:
        pytest.skip(f"this FFmpeg has no {name}")
    given = X265 if name == "libx265" else f"{X264}:slices={slices}"
    options = {"preset": "ultrafast", "tune": "zerolatency", params: given}
    with av.open(str(path), "w", format="hevc" if name == "libx265" else "h264") as output:
        stream = output.add_stream(name, rate=30, options=options)
        stream.width, stream.height, stream.pix_fmt = 192, 96, "yuv420p"
        for number in range(COUNT):
            picture = av.VideoFrame.from_ndarray(numbered(number, 96, 192), format="rgb24")
            output.mux(stream.encode(picture))
        output.mux(stream.encode(None))
    return path


@contextmanager
def serving(path: Path, frames: int | None = None) -> Iterator[str]:
    command = [python_with_gstreamer(), str(ROOT / "tools" / "rtsp_server.py"), str(path), "--fps", "100"]
    command += [] if frames is None else ["--frames", str(frames)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            yield process.stdout.readline().strip()
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("name", "slices", "parts_of"),
    [("x.h264", 1, "h264"), ("x.h264", 4, "h264"), ("x.h265", 1, "hevc"), ("x.mjpeg", 1, None)],
)
def test_codecs(name: str, slices: int, parts_of: str | None, tmp_path: Path) -> None:
    with serving(write(tmp_path / name, slices)) as url:
        address = parse_address(url)
        assert address is not None
        with source_of(address, policy="every", max_frames=40) as source:
            numbers = [number_of(frame.image) for frame in source]
        connection = source._reads.connection  # type: ignore[attr-defined]
    assert connection.parts_of == parts_of
    assert len(numbers) == 40
    assert {(b - a) % COUNT for a, b in itertools.pairwise(numbers)} == {1}


@pytest.mark.parametrize(("name", "slices"), [("x.h264", 1), ("x.h264", 4), ("x.h265", 1)])
def test_a_frame_does_not_wait_for_the_next(
    name: str, slices: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last one comes, too. With FFmpeg's own parser the connection is given up before."""
    monkeypatch.setattr(connect, "TIMEOUT_S", 5)
    monkeypatch.setattr(access_units, "_PROOFS", 5)
    said: list[str] = []
    with serving(write(tmp_path / name, slices), frames=COUNT) as url:
        address = parse_address(url)
        assert address is not None
        with source_of(address, tell=said.append) as source:
            for frame in source:
                if said or number_of(frame.image) == COUNT - 1:
                    break
            assert said == []
