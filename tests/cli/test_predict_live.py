"""`bcpnet predict` of streams: what is told, what is kept, and what ends it."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from command_line import Cli, assert_one_line, bcpnet_process, files
from live_servers import ROOT, free_port, http_server, paced, send_mjpeg, write_numbered

from bcpnet.cli import predict
from bcpnet.cli.live_options import live_item
from bcpnet.cli.predict import Predict
from bcpnet.media.sources import read_video

pytestmark = pytest.mark.usefixtures("no_news")


@pytest.fixture
def check() -> Callable[[Any], Any]:
    """Raises where a line is not as the schema has it."""
    fastjsonschema = pytest.importorskip("fastjsonschema")
    checker: Callable[[Any], Any] = fastjsonschema.compile(
        json.loads((ROOT / "docs" / "predict-line.schema.json").read_text())
    )
    return checker


def test_a_stream(cli: Cli, onnx_path: Path, tmp_path: Path, check: Callable[[Any], Any]) -> None:
    with http_server(lambda handler: send_mjpeg(handler, paced(200, 100))) as url:
        source = url.replace("//", "//u5er:pa55word@") + "/street?token=t0ken"
        ran = cli(
            "predict", source, "--weights", onnx_path, "--json", "--max-frames", 6, "--save-to", tmp_path / "x.mp4"
        )
    assert ran.code == 0
    lines = [json.loads(line) for line in ran.out.splitlines()]
    for line in lines:
        check(line)
        assert line["path"] == f"{url}/street?..."
        assert line["age_ms"] >= 0
    assert [line["frame"] for line in lines] == list(range(6))
    assert "6 frames in " in ran.err
    dropped = sum(line["dropped"] for line in lines)
    assert f" ms; {dropped} frames dropped" in ran.err
    assert not any(secret in ran.out + ran.err for secret in ("u5er", "pa55word", "t0ken"))
    assert len(list(read_video(tmp_path / "x.mp4"))) == 6


def test_a_stream_that_dies_and_comes_back(cli: Cli, onnx_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bcpnet.media.live.reader._FIRST_PAUSE_S", 0.02)
    with http_server(lambda handler: send_mjpeg(handler, paced(4, 100))) as url:
        ran = cli("predict", url, "--weights", onnx_path, "--save", "--policy", "every", "--max-frames", 6, "--json")
    assert ran.code == 0
    assert len(ran.out.splitlines()) == 6
    lost, back = ran.err.splitlines()[:2]
    assert lost.startswith(f"bcpnet: {url}: connection lost (")
    assert back.startswith(f"bcpnet: {url}: there again after ")


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")
@pytest.mark.parametrize("frames", [0, 3])
def test_ctrl_c_while_nothing_comes(frames: int, onnx_path: Path, tmp_path: Path) -> None:
    """Neither the end of a connection nor the next frame is waited for, and what is done is kept."""
    done = threading.Event()

    def answer(handler: BaseHTTPRequestHandler) -> None:
        if not frames:
            done.wait(60)
        send_mjpeg(handler, chain(paced(frames, 100), _nothing_until(done)))

    with http_server(answer) as url:
        ran = bcpnet_process(
            "predict", url, "--weights", onnx_path, "--json", "--policy", "every", "--out", tmp_path / "out"
        )
        try:
            assert ran.stdout
            lines = [ran.stdout.readline() for _ in range(frames)]
            threading.Event().wait(0.5 if frames else 3)  # until it waits, on a busy machine
            ran.send_signal(signal.SIGINT)
            out, error = ran.communicate(timeout=30)
        finally:
            ran.kill()
            done.set()
    assert (ran.returncode, out) == (130, b"")
    assert len(lines) == frames
    if frames:
        assert b"bcpnet: interrupted: kept the 3 frames done" in error
        assert b"age of results" in error
    assert error.startswith(b"bcpnet: interrupted")
    assert b"Traceback" not in error
    assert files(tmp_path / "out") == ({f"{url[7:].replace(':', '_')}_overlay.mp4"} if frames else set())


def _nothing_until(event: threading.Event) -> Iterator[bytes]:
    event.wait(60)
    yield from ()


@pytest.mark.parametrize(
    "arguments",
    [
        ["rtsp://u:pa55@127.0.0.1:1/x", "clip.mp4"],
        ["rtsp://u:pa55@127.0.0.1:1/x", "--every", "2"],
        ["rtsp://u:pa55@127.0.0.1:1/x", "--duration", "soon"],
        ["rtsp://u:pa55@127.0.0.1:1/x", "--max-frames", "0"],
        ["rtsp://u:pa55@127.0.0.1:1/x", "--save-to", "x.avi"],
        ["rtsp://u:pa55@127.0.0.1:1/x", "--save-to", "-", "--json"],
        ["gopher://u:pa55@127.0.0.1:1/x"],
        ["-", "--pipe-format", "rgb24"],
        ["clip.mp4", "--pipe-format", "rgb24", "--pipe-size", "48x64"],
        ["clip.mp4", "--policy", "newest"],
        ["clip.mp4", "--max-frames", "2"],
        ["photos/street.png", "--save-to", "x.mp4"],
    ],
)
def test_wrong_calls(
    arguments: list[str], cli: Cli, picture: Path, onnx_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(picture.parents[1])
    write_numbered(Path("clip.mp4"), 2)
    ran = cli("predict", *arguments, "--weights", onnx_path)
    assert ran.code == 2
    assert_one_line(ran.err)
    assert "pa55" not in ran.err
    assert not Path("bcpnet-out").exists()


@pytest.mark.parametrize("kind", ["rtsp", "http", "camera"])
def test_sources_that_are_not_there(kind: str, cli: Cli, onnx_path: Path, tmp_path: Path) -> None:
    source = "/dev/video97" if kind == "camera" else f"{kind}://u:pa55@127.0.0.1:{free_port()}/x"
    ran = cli("predict", source, "--weights", onnx_path, "--out", tmp_path / "out")
    assert ran.code == 1
    assert_one_line(ran.err)
    assert "cannot be opened" in ran.err
    assert "pa55" not in ran.err
    assert files(tmp_path / "out") == set()


def test_a_sink_that_is_not_there(cli: Cli, onnx_path: Path, tmp_path: Path) -> None:
    """It is told, the source is left, and the video of what is done is kept."""
    with http_server(lambda handler: send_mjpeg(handler, paced(1000, 50))) as url:
        ran = cli("predict", url, "--weights", onnx_path, "--save", "overlay", "--out", tmp_path / "out",
                  "--save-to", f"rtmp://u:pa55@127.0.0.1:{free_port()}/a/k3y", "--policy", "every")  # fmt: skip
    assert ran.code == 1
    assert_one_line(ran.err)
    assert "rtmp://127.0.0.1" in ran.err
    assert not any(secret in ran.err for secret in ("pa55", "k3y"))
    assert len(files(tmp_path / "out")) == 1


def test_the_commands_of_the_page_parse(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are not run: they would need cameras."""
    page = (ROOT / "docs" / "live.md").read_text()
    commands = re.findall(r"^(?:.*\| )?bcpnet (predict [^#|<\n]*)", page, re.MULTILINE)
    assert len(commands) > 10
    parsed: list[Predict] = []
    monkeypatch.setattr(predict, "run", lambda options: parsed.append(options) or 0)
    for command in commands:
        assert cli(*command.split()).code == 0, command
    live = [live_item(options, print) for options in parsed]
    assert all(item is not None for item in live)
