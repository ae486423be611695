"""SRT, which PyAV's wheels do not have: what is told, and that the way round works, with the SRT project's own tool."""

from __future__ import annotations

import itertools
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from live_servers import free_port, number_of, sending_ts, write_numbered

import bcpnet
from bcpnet.errors import InputError


@contextmanager
def passing_on(source: str, target: str) -> Iterator[None]:
    if shutil.which("srt-live-transmit") is None:
        pytest.skip("no srt-live-transmit here: apt install srt-tools")
    with subprocess.Popen(["srt-live-transmit", "-q", source, target]) as process:
        try:
            yield
        finally:
            process.kill()


def test_without_srt_the_way_round_is_told() -> None:
    with pytest.raises(InputError, match="cannot be opened") as failure:
        bcpnet.open_source(f"srt://127.0.0.1:{free_port()}?passphrase=S3cret")
    assert "S3cret" not in str(failure.value)
    assert "no SRT: pass it on with `srt-live-transmit" in str(failure.value) or "refused" in str(failure.value)


def test_the_way_round(tmp_path: Path) -> None:
    sent, over_srt, received = (free_port(socket.SOCK_DGRAM) for _ in range(3))
    path = write_numbered(tmp_path / "x.ts", 100, "mpegts")
    with ExitStack() as stack:
        stack.enter_context(passing_on(f"udp://127.0.0.1:{sent}", f"srt://127.0.0.1:{over_srt}?mode=listener"))
        stack.enter_context(passing_on(f"srt://127.0.0.1:{over_srt}", f"udp://127.0.0.1:{received}"))
        stack.enter_context(sending_ts(path, sent))
        source = bcpnet.open_source(f"udp://127.0.0.1:{received}", policy="every", max_frames=20)
        with source:
            numbers = [number_of(frame.image) for frame in source]
    assert len(numbers) == 20
    assert {(b - a) % 100 for a, b in itertools.pairwise(numbers)} <= set(range(1, 12))
