"""Frames from real servers on this machine: which come, in what order, and what is told of those that do not."""

from __future__ import annotations

import itertools
import socket
import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import numpy as np
import pytest
from live_servers import (
    free_port,
    http_server,
    jpeg,
    number_of,
    numbered,
    paced,
    rtsp_server,
    send_mjpeg,
    sending_ts,
    write_numbered,
)
from PIL import Image

import bcpnet
from bcpnet.errors import InputError, UsageError
from bcpnet.media.live.address import parse_address
from bcpnet.media.live.open import source_of


def test_every_frame_of_motion_jpeg() -> None:
    with (
        http_server(lambda handler: send_mjpeg(handler, paced(20, 200))) as url,
        bcpnet.open_source(f"{url}/video", policy="every", max_frames=20) as source,
    ):
        frames = list(source)
    assert [number_of(frame.image) for frame in frames] == list(range(20))
    assert [frame.index for frame in frames] == list(range(20))
    assert (source.frames, source.dropped, sum(frame.dropped for frame in frames)) == (20, 0, 0)
    assert all(a.time_s <= b.time_s and a.captured_s <= b.captured_s for a, b in itertools.pairwise(frames))
    assert frames[0].time_s == 0
    assert abs(frames[-1].captured_s - time.time()) < 60
    assert frames[0].image.shape == (48, 96, 3)
    ages = [frames[-1].age_ms(), frames[0].age_ms()]
    assert 0 <= ages[0] <= ages[1]


def test_a_slow_consumer_gets_the_newest_and_is_told_what_it_missed() -> None:
    """As much is dropped as the numbers in the pictures say; the last frame sent is the last one got."""
    sent, seen = 120, threading.Event()

    def answer(handler: BaseHTTPRequestHandler) -> None:
        send_mjpeg(handler, itertools.chain(paced(sent, 150), _nothing_until(seen)))

    with http_server(answer) as url, bcpnet.open_source(url) as source:
        numbers, dropped = [], []
        for frame in source:
            numbers.append(number_of(frame.image))
            dropped.append(frame.dropped)
            if numbers[-1] == sent - 1:
                break
            time.sleep(0.07)
        seen.set()
    assert dropped == [b - a - 1 for a, b in itertools.pairwise([-1, *numbers])]
    assert source.dropped + source.frames == sent
    assert source.frames < sent / 2


def _nothing_until(event: threading.Event) -> Iterator[bytes]:
    event.wait(60)
    yield from ()


def test_memory_is_flat_however_slow_the_consumer() -> None:
    resource = pytest.importorskip("resource", reason="no resource limits on this system")
    count, data = 250, jpeg(np.zeros((720, 1280, 3), np.uint8))  # 690 MB, decoded

    with (
        http_server(lambda handler: send_mjpeg(handler, itertools.repeat(data, count))) as url,
        bcpnet.open_source(url, policy="newest") as source,
    ):
        next(source)
        before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        last = None
        for frame in source:
            last = frame
            if source.frames + source.dropped >= count:
                break
            time.sleep(0.2)
        after_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert last is not None
    assert after_kib - before_kib < 100 * 1024


def test_rtsp(tmp_path: Path) -> None:
    with (
        rtsp_server(write_numbered(tmp_path / "x.h264", 60, fps=30)) as url,
        bcpnet.open_source(url, max_frames=25) as source,
    ):
        numbers = [number_of(frame.image) for frame in source]
        assert source.fps == 30
        assert (numbers[1] - numbers[0]) % 60 >= 1
        assert len(numbers) == 25
        assert all((b - a) % 60 < 30 for a, b in itertools.pairwise(numbers))  # ahead, in a circle of 60


def test_mpeg_ts_over_udp(tmp_path: Path) -> None:
    """Joined in the middle, where decoding can only start at a key frame."""
    port = free_port(socket.SOCK_DGRAM)
    path = write_numbered(tmp_path / "x.ts", 100, "mpegts")
    with sending_ts(path, port), bcpnet.open_source(f"udp://127.0.0.1:{port}", policy="every", max_frames=30) as source:
        numbers = [number_of(frame.image) for frame in source]
    steps = {(b - a) % 100 for a, b in itertools.pairwise(numbers)}
    assert steps <= {1, *range(2, 12)}  # a datagram may be lost on a busy machine
    assert len(numbers) == 30


def test_numbered_pictures(tmp_path: Path) -> None:
    for number in (2, 10, 9, 11):
        Image.fromarray(numbered(number)).save(tmp_path / f"frame_{number:04d}.png")
    (tmp_path / "frame_12.png").touch()  # not so many digits
    with bcpnet.open_source(tmp_path / "frame_%04d.png") as source:
        frames = list(source)
    assert [number_of(frame.image) for frame in frames] == [2, 9, 10, 11]
    assert [frame.time_s for frame in frames] == [Fraction(index, 25) for index in range(4)]
    with pytest.raises(InputError, match="no picture"):
        bcpnet.open_source(tmp_path / "other_%04d.png")


def test_files_and_folders_are_sources_too(tmp_path: Path) -> None:
    path = write_numbered(tmp_path / "x.mp4", 6)
    with bcpnet.open_source(path) as source:
        assert [number_of(frame.image) for frame in source] == list(range(6))
        assert source.fps == 25
    assert [number_of(frame.image) for frame in bcpnet.open_source(tmp_path, max_frames=2)] == [0, 1]
    with pytest.raises(InputError, match=r"none\.mp4"):
        bcpnet.open_source(tmp_path / "none.mp4")
    with pytest.raises(UsageError, match="policy"):
        bcpnet.open_source(path, policy="newest")


@pytest.mark.parametrize("smooth", [False, True])
def test_closing_segmenter_stream_does_not_wait_for_the_next_frame(smooth: bool) -> None:
    """Which would come with a second connection."""
    done, connections = threading.Event(), []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        connections.append(handler.path)
        send_mjpeg(handler, itertools.chain(paced(3, 50), _nothing_until(done)))

    try:
        with http_server(answer) as url:
            results = bcpnet.load("camvid", threads=1, size_hw=(32, 64)).stream(f"{url}/street", smooth=smooth)
            assert next(results).class_map.shape == (48, 96)
            results.close()
            assert connections == ["/street"]
            done.set()
    finally:
        done.set()


def test_a_source_stopped_while_it_is_opened() -> None:
    done = threading.Event()

    def answer(handler: BaseHTTPRequestHandler) -> None:
        del handler
        source.stop()
        done.wait(60)

    with http_server(answer) as url:
        address = parse_address(url)
        assert address is not None
        source = source_of(address)
        assert list(source) == []
        done.set()


@pytest.mark.parametrize(
    "options",
    [{"policy": "oldest"}, {"duration_s": 0}, {"max_frames": 0}, {"pipe_format": "rgb24"}, {"pipe_size": (4, 4)}],
)
def test_wrong_calls(options: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        bcpnet.open_source("http://127.0.0.1:1/", **options)  # type: ignore[arg-type]
