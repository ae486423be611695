"""Overlays that leave as they are made: what arrives is what was sent, by another reader."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest
from live_servers import free_port, number_of, numbered

from bcpnet.errors import InputError, UsageError
from bcpnet.media.live import sink as sink_module
from bcpnet.media.live.sink import PipeKind, Sink

FPS = Fraction(25)


def send(sink: Sink, pictures: list[npt.NDArray[np.uint8]]) -> None:
    for index, picture in enumerate(pictures):
        sink.write(picture, index / FPS, lambda: FPS)
    sink.close()


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Callable[[], bytes]:
    """Standard output is a pipe; call it for all that came through."""
    reader, writer = os.pipe()
    monkeypatch.setattr(sink_module, "_STANDARD_OUTPUT", writer)
    came: list[bytes] = []

    def read() -> None:
        with os.fdopen(reader, "rb") as file:
            came.append(file.read())

    thread = threading.Thread(target=read)
    thread.start()

    def result() -> bytes:
        os.close(writer)
        thread.join()
        return came[0]

    return result


@pytest.mark.parametrize(("height", "width"), [(48, 96), (47, 96), (48, 84)])
def test_y4m_is_read_by_ffmpeg(height: int, width: int, pipe: Callable[[], bytes], tmp_path: Path) -> None:
    send(Sink("-"), [numbered(index, height, width) for index in range(5)])
    path = tmp_path / "x.y4m"
    path.write_bytes(pipe())
    with av.open(str(path)) as video:
        assert video.streams.video[0].average_rate == 25
        images = [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
    assert images[0].shape == (height + height % 2, width, 3)
    assert [number_of(image) for image in images] == list(range(5))
    assert abs(images[3][:height].astype(int) - numbered(3, height, width)).mean() < 6


def test_raw_bytes_are_the_pictures(pipe: Callable[[], bytes]) -> None:
    pictures = [numbered(index) for index in range(4)]
    send(Sink("-", "rgb24"), pictures)
    assert pipe() == b"".join(picture.tobytes() for picture in pictures)


@pytest.mark.parametrize("kind", ["y4m", "rgb24"])
def test_a_reader_that_goes_away(kind: PipeKind, monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    monkeypatch.setattr(sink_module, "_STANDARD_OUTPUT", writer)
    with pytest.raises(BrokenPipeError):
        send(Sink("-", kind), [numbered(index) for index in range(5)])
    os.close(writer)


def test_a_reader_that_does_not_read_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C comes through while the pipe is full."""
    reader, writer = os.pipe()
    monkeypatch.setattr(sink_module, "_STANDARD_OUTPUT", writer)
    sink = Sink("-", "rgb24")

    def check() -> None:
        raise KeyboardInterrupt

    def fill() -> None:
        for index in range(100):  # each is more than a pipe holds
            sink.write(np.zeros((200, 400, 3), np.uint8), index / FPS, lambda: FPS, check if index else None)

    with pytest.raises(KeyboardInterrupt):
        fill()
    os.close(reader)  # lets the thread go
    with pytest.raises(BrokenPipeError):
        sink.close()
    os.close(writer)


def test_mpeg_ts_over_udp() -> None:
    port = free_port(socket.SOCK_DGRAM)
    numbers: list[int] = []
    is_open = threading.Event()

    def receive() -> None:
        with av.open(f"udp://127.0.0.1:{port}", timeout=(30, 5)) as video:
            for frame in video.decode(video=0):
                numbers.append(number_of(frame.to_ndarray(format="rgb24")))
                if len(numbers) == 20:
                    is_open.set()
                    return

    thread = threading.Thread(target=receive, daemon=True)
    thread.start()
    sink = Sink(f"udp://127.0.0.1:{port}")
    for index in range(2000):
        if is_open.is_set():
            break
        sink.write(numbered(index), index / FPS / 8, lambda: FPS)
    sink.close()
    thread.join(30)
    assert len(numbers) == 20
    assert numbers == sorted(numbers)


def test_rtmp() -> None:
    """PyAV listens, as a server would."""
    port = free_port()
    numbers: list[int] = []

    def receive() -> None:
        url, options = f"rtmp://127.0.0.1:{port}/live/key", {"listen": "1"}
        with av.open(url, container_options=options, timeout=(30, 5)) as video, suppress(OSError):  # at its end
            for frame in video.decode(video=0):
                numbers.append(number_of(frame.to_ndarray(format="rgb24")))

    thread = threading.Thread(target=receive, daemon=True)
    thread.start()
    _wait_for_listener(port)
    sink = Sink(f"rtmp://127.0.0.1:{port}/live/key")
    assert "key" not in sink.name
    send(sink, [numbered(index) for index in range(30)])
    thread.join(30)
    assert numbers == list(range(30))


def _wait_for_listener(port: int) -> None:
    """Without connecting: it would take that for its only client."""
    wanted = f":{port:04X} 00000000:0000 0A"
    for _ in range(300):
        tables = Path("/proc/net/tcp")
        if not tables.exists():
            pytest.skip("no /proc/net/tcp on this system")
        if wanted in tables.read_text():
            return
        threading.Event().wait(0.1)
    pytest.fail("nobody listens")


def test_nobody_there_is_told_without_the_key() -> None:
    sink = Sink(f"rtmp://u:pa55@127.0.0.1:{free_port()}/live/k3y")
    with pytest.raises(InputError, match=r"rtmp://127\.0\.0\.1:\d+/live/\.\.\.: cannot be written") as failure:
        send(sink, [numbered(index) for index in range(5)])
    assert "k3y" not in str(failure.value)
    assert "pa55" not in str(failure.value) + repr(failure.value.__context__)


def test_pictures_that_nobody_takes_are_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        sink = Sink(f"rtmp://127.0.0.1:{silent.getsockname()[1]}/live")
        with pytest.raises(InputError, match="did not go out within"):
            send(sink, [numbered(0)])


def test_pictures_of_another_size(pipe: Callable[[], bytes]) -> None:
    sink = Sink("-")
    sink.write(numbered(0), Fraction(0), lambda: FPS)
    with pytest.raises(InputError, match="48x96 to 48x84"):
        sink.write(numbered(0, 48, 84), Fraction(1), lambda: FPS)
    sink.close()
    pipe()


@pytest.mark.parametrize("target", ["ftp://u:p@host/x", "x.avi", "http://host/x"])
def test_where_overlays_cannot_go(target: str) -> None:
    with pytest.raises(UsageError) as failure:
        Sink(target)
    assert "u:p" not in str(failure.value)
