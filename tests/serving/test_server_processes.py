"""Real server processes: clients that are slow, rude or many; signals; a worker that is killed."""

from __future__ import annotations

import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from media_files import noise
from service_here import PICTURE, Server, answer_of, encoded, pixels, post, running

from bcpnet.machine import usable_cores
from bcpnet.segmenter import Segmenter

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of Unix")


def soon(condition: Callable[[], Any]) -> Any:
    """Waits until it holds."""
    until = time.monotonic() + 60
    while not (found := condition()):
        assert time.monotonic() < until
        time.sleep(0.02)
    return found


def ask(server: Server, body: bytes) -> tuple[int, bytes]:
    """One request on a connection of its own."""
    with server.connect() as connection:
        connection.sendall(post(body))
        return answer_of(connection)


def test_answers_are_right(server: Server, segmenter: Segmenter) -> None:
    status, body = ask(server, encoded())
    assert status == 200
    np.testing.assert_array_equal(pixels(body), segmenter(PICTURE).class_map)
    with server.connect() as connection:  # kept alive, and pipelined
        connection.sendall(post(encoded()) + post(b"x") + post(encoded()))
        file = connection.makefile("rb")
        assert [int(line.split()[1]) for line in file_status_lines(file, 3)] == [200, 422, 200]


def file_status_lines(file: Any, count: int) -> list[bytes]:
    """The status lines of answers, one after the other."""
    lines = []
    for _ in range(count):
        lines.append(file.readline())
        length = 0
        while (line := file.readline().strip().lower()) != b"":
            length = int(line.partition(b":")[2]) if line.startswith(b"content-length:") else length
        file.read(length)
    return lines


def test_rude_clients_hurt_nobody(server: Server, segmenter: Segmenter) -> None:
    whole = post(encoded(noise(200, 300)))
    expected = segmenter(PICTURE).class_map
    for number in range(60):
        connection = server.connect()
        if number % 6 == 0:
            connection.sendall(whole[: len(whole) // 2])
        elif number % 6 == 1:
            connection.sendall(whole)
            connection.shutdown(socket.SHUT_WR)  # half-closed
        elif number % 6 == 2:
            connection.sendall(whole)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # closes by RST
        elif number % 6 == 3:
            connection.sendall(b"GET / HTTP/9.9\r\n\r\n\0\0\0")
        elif number % 6 == 4:
            connection.sendall(b"POST /v1/segment HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
        else:
            connection.sendall(b"A: " + b"x" * 100_000)
        connection.close()
        if number % 10 == 0:
            status, body = ask(server, encoded())
            assert status == 200
            np.testing.assert_array_equal(pixels(body), expected)
    assert server.events("fault") == []


def test_a_large_request_is_refused_before_it_is_sent(server: Server) -> None:
    with server.connect() as connection:
        connection.sendall(b"POST /v1/segment HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000000\r\n\r\n")
        assert answer_of(connection)[0] == 413


def test_odd_pictures_leave_no_words_in_the_log(server: Server) -> None:
    exif = b"Exif\0\0MM\0*\xff\xff\xff\xff" + bytes(200)
    assert ask(server, encoded(kind="JPEG", exif=exif))[0] == 200
    assert server.events("fault") == []  # every line of the log is JSON


def test_a_stream_over_a_socket(server: Server, segmenter: Segmenter) -> None:
    from websockets.exceptions import ConnectionClosed
    from websockets.sync.client import connect

    address = f"ws://127.0.0.1:{server.port}/v1/stream"
    with connect(address) as stream:
        stream.send(encoded())
        assert '"frame":0' in str(stream.recv()).replace(" ", "")
        np.testing.assert_array_equal(pixels(stream.recv()), segmenter(PICTURE).class_map)

        def send_too_much() -> None:
            stream.send(bytes((32 << 20) + 1))
            stream.recv()

        with pytest.raises(ConnectionClosed) as closed:
            send_too_much()
        # What the server says of it may be lost: it ends the connection while the client still sends.
        assert closed.value.rcvd is None or closed.value.rcvd.code == 1009
    assert ask(server, encoded())[0] == 200
    assert server.events("fault") == []


def with_bounds(bounds: str) -> str:
    """Code that runs the command with bounds that are no options of it."""
    return (
        "import sys; from dataclasses import replace; from bcpnet.serving import supervisor; serve = supervisor.serve\n"
        "def other(options, *rest):\n"
        f"    serve(replace(options, bounds=replace(options.bounds, {bounds})), *rest)\n"
        "supervisor.serve = other\n"
        "from bcpnet.cli import main; sys.exit(main())"
    )


def test_connections_are_bounded_and_slow_ones_end(tmp_path: Path) -> None:
    page = tmp_path / "page"
    page.mkdir()
    (page / "index.html").write_text("<title>a page</title>")
    with (page / "large.bin").open("wb") as file:
        file.truncate(64 << 20)  # more than the system's buffers take
    short = with_bounds("receive_s=1.5, send_s=1.5, idle_s=60")
    with running(tmp_path, "--workers", "1", "--connections", "3", "--page", str(page), code=short) as server:
        held = [server.connect() for _ in range(3)]
        held[0].sendall(b"POST /v1/seg")
        held[1].sendall(post(encoded())[:-10])
        soon(lambda: "503" in str(_status(server)))
        for connection in held:
            assert connection.recv(100) == b""  # the server ended it
            connection.close()
        assert soon(lambda: _status(server) == 200)
        with server.connect() as reads_nothing:
            reads_nothing.sendall(b"GET /large.bin HTTP/1.1\r\nHost: x\r\n\r\n")
            soon(lambda: _connections_of(server) == 2)
            soon(lambda: _connections_of(server) == 1)
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(60) == 0
        assert server.log.read_text().count("Traceback") == 0


def _status(server: Server) -> int:
    with server.connect() as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        return answer_of(connection)[0]


def _connections_of(server: Server) -> int:
    with urllib.request.urlopen(f"{server.address}/metrics") as answer:
        return int(answer.read().split(b"\nbcpnet_connections ")[1].split()[0])


def test_sigterm_lets_requests_end(tmp_path: Path, segmenter: Segmenter) -> None:
    with running(tmp_path, "--workers", "2", "--threads", "2") as server:
        connections = [server.connect() for _ in range(8)]
        for connection in connections:
            connection.sendall(post(encoded()))
        late = server.connect()
        late.sendall(post(encoded())[:-5])
        soon(lambda: len(server.events("request")) >= 1)
        server.process.send_signal(signal.SIGTERM)
        soon(lambda: server.events("draining"))
        late.sendall(post(encoded())[-5:])
        for connection in (*connections, late):
            status, body = answer_of(connection)
            assert status == 200
            np.testing.assert_array_equal(pixels(body), segmenter(PICTURE).class_map)
            connection.close()
        assert server.process.wait(60) == 0
        assert len(server.events("stopped")) == 2
        with pytest.raises(ConnectionRefusedError):
            server.connect()


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds the workers in /proc")
def test_a_killed_worker_is_replaced_while_others_go_on(server: Server, segmenter: Segmenter) -> None:
    expected = segmenter(PICTURE).class_map
    pids = {line["worker"]: line["pid"] for line in server.events("started")}
    stop, good, wrong = threading.Event(), [], []

    def load() -> None:
        while not stop.is_set():
            try:
                status, body = ask(server, encoded())
            except OSError:
                continue  # a connection of the worker that died
            if status == 200 and np.array_equal(pixels(body), expected):
                good.append(status)
            elif status:  # 0: ended by its death, too
                wrong.append(status)

    threads = [threading.Thread(target=load) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        soon(lambda: len(good) > 3)
        os.kill(pids[1], signal.SIGKILL)
        soon(lambda: server.events("worker_died"))
        before = len(good)
        soon(lambda: len(good) > before + 3)
        again = soon(lambda: [line for line in server.events("started") if line["pid"] not in pids.values()])
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert wrong == []
    assert [line["worker"] for line in again] == [1]
    with urllib.request.urlopen(f"{server.address}/metrics") as answer:
        assert b"bcpnet_worker_starts_total 3\n" in answer.read()


def test_a_worker_that_hangs_is_replaced_while_others_go_on(tmp_path: Path, segmenter: Segmenter) -> None:
    expected = segmenter(PICTURE).class_map
    with running(tmp_path, "--workers", "2", "--threads", "2", code=with_bounds("hang_s=3")) as server:
        pids = {line["worker"]: line["pid"] for line in server.events("started")}
        os.kill(pids[1], signal.SIGSTOP)
        for _ in range(4):
            status, body = ask(server, encoded())
            assert status == 200
            np.testing.assert_array_equal(pixels(body), expected)
        (hangs,) = soon(lambda: server.events("worker_hangs"))
        again = soon(lambda: [line for line in server.events("started") if line["pid"] not in pids.values()])
        assert [hangs["number"], *(line["worker"] for line in again)] == [1, 1]
        assert ask(server, encoded())[0] == 200
        assert len(server.events("worker_hangs")) == 1  # the other one answered all the while


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds the workers in /proc")
def test_workers_end_with_their_parent(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        pids = [line["pid"] for line in server.events("started")]
        assert len(pids) == usable_cores()  # the default
        server.process.kill()
        soon(lambda: all(map(has_ended, pids)))


def has_ended(pid: int) -> bool:
    """Whether it ended, though nobody may have asked for its exit code."""
    return not Path(f"/proc/{pid}").exists() or Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z"


def test_weights_that_cannot_be_opened_are_told_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"x")
    command = [sys.executable, "-m", "bcpnet", "serve", "--port", "0", "--weights", str(tmp_path / "bad.onnx")]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert ran.stderr.startswith("bcpnet: ")
    assert ran.stderr.count("\n") == 1
