"""Sources that die, come back, say nothing, or are not there."""

from __future__ import annotations

import itertools
import re
import threading
import traceback
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler

import pytest
from live_servers import (
    free_port,
    http_server,
    number_of,
    paced,
    send_mjpeg,
)

import bcpnet
from bcpnet.errors import InputError, InputWarning
from bcpnet.media.live import connect


def test_a_server_that_dies_and_comes_back() -> None:
    said: list[str] = []
    connections = itertools.count()

    def answer(handler: BaseHTTPRequestHandler) -> None:
        number = next(connections)
        if number in (1, 2, 3):  # it is not there yet
            handler.send_error(503)
            return
        send_mjpeg(handler, paced(10, 200, first=100 * number))

    with (
        http_server(answer) as url,
        bcpnet.open_source(f"{url}/v?token=S3cret", policy="every", max_frames=25, tell=said.append) as source,
    ):
        numbers = [number_of(frame.image) for frame in source]
    assert numbers == [*range(10), *range(400, 410), *range(500, 505)]
    assert [re.sub(r"[\d.]+ s", "N s", line.partition("?... ")[2] or line.partition(": ")[2]) for line in said[:2]]
    assert "connection lost" in said[0]
    assert "again after" in said[1]
    assert len(said) == 4  # lost and back, twice, whatever happened between
    assert not any("S3cret" in line for line in said)


def test_by_default_a_lost_connection_is_a_warning() -> None:
    with (
        http_server(lambda handler: send_mjpeg(handler, paced(3, 200))) as url,
        pytest.warns(InputWarning, match="connection lost"),
        bcpnet.open_source(url, policy="every", max_frames=5) as source,
    ):
        assert len(list(source)) == 5


@pytest.mark.parametrize("scheme", ["rtsp", "rtmp", "http"])
def test_what_does_not_answer_is_told_without_credentials(scheme: str) -> None:
    url = f"{scheme}://u5er:pa55word@127.0.0.1:{free_port()}/street?token=t0ken"
    with pytest.raises(InputError, match=r"127\.0\.0\.1:\d+/.*cannot be opened \(Connection refused") as failure:
        bcpnet.open_source(url)
    told = "".join(traceback.format_exception(failure.value)) + repr(failure.value.__context__)
    assert not any(secret in told for secret in ("u5er", "pa55word", "t0ken"))


def test_a_source_says_no_secret() -> None:
    with (
        http_server(lambda handler: send_mjpeg(handler, paced(3, 200))) as url,
        bcpnet.open_source(url.replace("//", "//u5er:pa55word@"), max_frames=1) as source,
    ):
        told = repr(source) + source.name + repr(vars(source)) + repr(vars(source._reads)) + repr(next(source))
    assert not any(secret in told for secret in ("u5er", "pa55word"))


def test_it_ends_while_nothing_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    """By its duration, and by `stop` from another thread."""
    monkeypatch.setattr(connect, "TIMEOUT_S", 1)
    done = threading.Event()
    try:
        with http_server(
            lambda handler: send_mjpeg(handler, itertools.chain(paced(3, 200), _nothing_until(done)))
        ) as url:
            with bcpnet.open_source(url, policy="every", duration_s=0.5) as source:
                assert len(list(source)) == 3
            with bcpnet.open_source(url, policy="every") as source:
                assert [number_of(next(source).image) for _ in range(3)] == [0, 1, 2]
                threading.Timer(0.2, source.stop).start()
                assert list(source) == []
    finally:
        done.set()


def test_silence_is_a_lost_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connect, "TIMEOUT_S", 0.5)
    done, said = threading.Event(), []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        send_mjpeg(handler, itertools.chain(paced(3, 200), _nothing_until(done)))

    with http_server(answer) as url, bcpnet.open_source(url, policy="every", max_frames=5, tell=said.append) as source:
        assert [number_of(frame.image) for frame in source] == [0, 1, 2, 0, 1]
        done.set()
    assert "nothing came for 0.5 s" in said[0]


def _nothing_until(event: threading.Event) -> Iterator[bytes]:
    event.wait(60)
    yield from ()
