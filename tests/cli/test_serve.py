"""`bcpnet serve`: what it refuses before it starts. How it serves is in tests/serving."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import Cli, assert_one_line

for package in ("starlette", "uvicorn", "multipart", "websockets"):
    pytest.importorskip(package, reason="the service needs the extra [serve]")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--host", "0.0.0.0"], "--no-token"),
        (["--host", "::"], "--no-token"),
        (["--host", "example.com"], "--no-token"),
        (["--workers", "0"], "--workers"),
        (["--workers", "3", "--threads", "2"], "--workers"),
        (["--threads", "0"], "threads"),
        (["--port", "70000"], "--port"),
        (["--size", "1x1"], "size"),
        (["--weights", "nobody"], "nobody"),
        (["--weights", "camvid", "camvid"], "camvid"),
        (["--backend", "none"], "none"),
        (["--page", "nowhere"], "nowhere"),
        (["--max-mib", "0"], "--max-mib"),
        (["--max-megapixels", "-1"], "--max-megapixels"),
        (["--connections", "0"], "--connections"),
        (["--queue", "-1"], "--queue"),
        (["--wait-s", "-1"], "--wait-s"),
        (["--host", "256.0.0.1", "--no-token"], "256.0.0.1"),
    ],
)
def test_wrong_options(arguments: list[str], said: str, capfd: pytest.CaptureFixture[str]) -> None:
    from bcpnet.cli import main

    assert main(["serve", *(["--port", "0"] if "--port" not in arguments else []), *arguments]) == 2
    error = capfd.readouterr().err
    assert_one_line(error)
    assert said in error


def test_a_port_that_is_taken(cli: Cli) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ran = cli("serve", "--port", taken.getsockname()[1])
    assert ran.code == 2
    assert "cannot listen" in ran.err


@pytest.mark.parametrize(("token", "code"), [("short", 2), ("x" * 15 + " " + "y" * 15, 2), ("ä" * 20, 1), (None, 1)])
def test_a_token_that_is_none(token: str | None, code: int, tmp_path: Path, cli: Cli) -> None:
    path = tmp_path / "token"
    if token is not None:
        path.write_text(token, encoding="utf-8")
    ran = cli("serve", "--host", "0.0.0.0", "--port", "0", "--token-file", path)
    assert ran.code == code
    assert_one_line(ran.err)
    assert token is None or token not in ran.err


@pytest.mark.parametrize("package", ["starlette", "uvicorn", "h11", "multipart", "websockets"])
def test_the_extra_is_named(package: str) -> None:
    script = f"import sys; sys.modules[{package!r}] = None; from bcpnet.cli import main; sys.exit(main(['serve']))"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert ran.returncode == 2
    assert_one_line(ran.stderr)
    assert 'pip install ".[serve]"' in ran.stderr


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback(host: str) -> None:
    from bcpnet.serving.supervisor import is_loopback

    assert is_loopback(host)
