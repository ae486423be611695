"""Standard output and error that are closed, full, gone, or of an encoding that lacks letters."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from command_line import assert_one_line, files
from PIL import Image

FULL = pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
needs_shell = pytest.mark.skipif(os.name == "nt", reason="written for a POSIX shell")


def shell(command: str, redirection: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[bytes]:
    """`bcpnet COMMAND REDIRECTION` in `folder`."""
    return subprocess.run(
        f"'{sys.executable}' -m bcpnet {command} {redirection}",
        shell=True, cwd=folder, capture_output=True, check=False, env={**os.environ, **variables},
    )  # fmt: skip


@needs_shell
@pytest.mark.parametrize(
    "redirection", ["2>&-", ">&-", ">&- 2>&-", "<&-", "<&- >&- 2>&-", pytest.param("2>/dev/full", marks=FULL)]
)
def test_the_work_is_done_whatever_nobody_reads(redirection: str, bad: Path, tmp_path: Path) -> None:
    ran = shell(f"predict {bad}/good.png --weights {bad}/good.onnx --out out --save classmap", redirection, tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert files(tmp_path / "out") == {"good.png"}
    assert Image.open(tmp_path / "out" / "good.png").mode == "P"  # nobody's words in the file


@needs_shell
@pytest.mark.parametrize("redirection", ["2>&-", pytest.param("2>/dev/full", marks=FULL)])
def test_an_error_that_cannot_be_told_is_one_all_the_same(redirection: str, bad: Path, tmp_path: Path) -> None:
    ran = shell(f"predict {bad}/none.png --weights {bad}/good.onnx --out out", redirection, tmp_path)
    assert (ran.returncode, ran.stdout) == (1, b"")


@needs_shell
def test_a_reader_of_errors_that_goes_away_does_not_end_the_work(bad: Path, tmp_path: Path) -> None:
    Image.fromarray(np.zeros((40, 50, 3), np.uint8)).save(tmp_path / "z.png")
    command = f"predict {bad}/text.png {bad}/empty.png z.png --weights {bad}/good.onnx --out out --save classmap"
    ran = shell(command, "2>&1 >/dev/null | true", tmp_path)
    assert ran.stderr == b""
    assert files(tmp_path / "out") == {"z.png"}


@needs_shell
@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-8", "utf-16"])
@pytest.mark.parametrize("name", ["街.png", os.fsdecode(b"caf\xe9.png")])
def test_names_that_an_encoding_cannot_say(encoding: str, name: str, bad: Path, tmp_path: Path) -> None:
    try:
        (tmp_path / name).write_bytes((bad / "good.png").read_bytes())
        (tmp_path / f"broken_{name}").write_bytes(b"")
    except OSError:
        pytest.skip("no such names in this file system")
    command = f"predict *.png --weights {bad}/good.onnx --out {Path(name).stem} --save classmap"
    ran = shell(command, "", tmp_path, PYTHONIOENCODING=encoding)
    error = ran.stderr.decode(encoding)
    assert ran.returncode == 1
    assert "Traceback" not in error
    assert "empty file" in error
    assert "1 frame in" in ran.stdout.decode(encoding)
    assert files(tmp_path / Path(name).stem) == {name}

    ran = shell(f"{command} --json", "", tmp_path, PYTHONIOENCODING=encoding)
    lines = [json.loads(line) for line in ran.stdout.decode(encoding).splitlines()]
    assert {line["path"] for line in lines} == {name, f"broken_{name}"}


@pytest.mark.parametrize("arguments", ["--help", "predict --help", "models"])
def test_help_in_ascii(arguments: str, tmp_path: Path) -> None:
    ran = shell(arguments, "", tmp_path, PYTHONIOENCODING="ascii")
    assert (ran.returncode, ran.stderr) == (0, b"")
    assert ran.stdout.isascii()


_ANOTHER_USER = ["setpriv", "--reuid=54321", "--regid=54321", "--clear-groups"]  # the limit does not bind root


def _limit(processes: int) -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_NPROC, (processes, processes))


@pytest.mark.skipif(
    getattr(os, "geteuid", lambda: 1)() != 0 or shutil.which("setpriv") is None,
    reason="needs root and setpriv, to become another user",
)
@pytest.mark.parametrize("processes", [1, 2, 3, 5])
def test_no_more_threads_is_one_line(processes: int, bad: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:  # pytest's own is closed to others
        Path(folder).chmod(0o777)
        for name in ("good.png", "good.onnx"):
            (Path(folder) / name).write_bytes((bad / name).read_bytes())
        predict = ["predict", "good.png", "--weights", "good.onnx", "--out", "out"]
        ran = subprocess.run(
            [*_ANOTHER_USER, sys.executable, "-m", "bcpnet", *predict],
            capture_output=True, text=True, check=False, cwd=folder, preexec_fn=lambda: _limit(processes),
            env={**os.environ, "HOME": folder, "OPENBLAS_NUM_THREADS": "1"},
        )  # fmt: skip
    if "setpriv" in ran.stderr:
        pytest.skip("other users cannot run this Python")
    if ran.returncode:
        assert_one_line(ran.stderr)
        assert ran.returncode == 1
        assert "limit on processes and threads" in ran.stderr
    else:
        assert processes > 1
