"""Only one program at a time in a folder, whatever ended the one before."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bcpnet.errors import InputError, UsageError
from bcpnet.storage import folder_lock as module
from bcpnet.storage.folder_lock import folder_lock

_HOLD = """
import os, sys
from pathlib import Path
from bcpnet.storage.folder_lock import folder_lock
with folder_lock(Path(sys.argv[1]), "training"):
    child = os.fork() if "fork" in sys.argv else 1
    if child == 0:
        print("forked", os.getpid(), flush=True)
        sys.stdin.read()
        os._exit(0)
    print("locked", flush=True)
    sys.stdin.read()
"""


@contextmanager
def _holder(run: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    """Another process that has the lock until its input ends."""
    command = [sys.executable, "-c", _HOLD, str(run), *words]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdin is not None
    for _ in range(1 + len(words)):
        assert process.stdout.readline()
    yield process
    process.stdin.close()
    process.wait()
    process.stdout.close()


def test_another_process_is_kept_out_until_the_end(tmp_path: Path) -> None:
    run = tmp_path / "new" / "run"
    with _holder(run) as other:
        for _ in range(2):
            with (
                pytest.raises(UsageError, match=rf"another training \(process {other.pid} on .*\) writes") as caught,
                folder_lock(run, "training"),
            ):
                pass
        assert "--out" in str(caught.value)
        with folder_lock(tmp_path / "other", "training"):  # that folder alone
            pass
    with folder_lock(run, "training"):
        (run / "result").touch()
    assert list(run.iterdir()) == [run / "result"]


def test_where_nothing_came_of_it_no_folder_stays(tmp_path: Path) -> None:
    with folder_lock(tmp_path / "new" / "run", "training"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_this_process_is_kept_out_too(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "run")
    with folder_lock(tmp_path / "run", "training"):
        for same in ("run", "link"):
            with pytest.raises(UsageError, match=f"process {os.getpid()}"), folder_lock(tmp_path / same, "training"):
                pass
        command = [sys.executable, "-c", _HOLD, str(tmp_path / "run")]
        ran = subprocess.run(command, input="", capture_output=True, text=True, check=False)
        assert "UsageError" in ran.stderr  # asking here has not given the lock away
    with folder_lock(tmp_path / "run", "training"):
        pass


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_killed_process_blocks_nobody(tmp_path: Path) -> None:
    """Nor do its children, which may outlive it."""
    with _holder(tmp_path, "fork") as other:
        os.kill(other.pid, signal.SIGKILL)
        other.wait()
        assert (tmp_path / ".lock").read_text().startswith(f"process {other.pid} ")
        with folder_lock(tmp_path, "training"):
            pass
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_was_left_means_nothing(tmp_path: Path) -> None:
    (tmp_path / ".lock").write_bytes(b"\xff process 1\nof old" * 1000)
    with folder_lock(tmp_path, "training"):
        assert (tmp_path / ".lock").read_text().startswith(f"process {os.getpid()} on ")
    assert list(tmp_path.iterdir()) == []


def test_an_error_gives_it_up(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), folder_lock(tmp_path, "training"):
        _ = 1 / 0
    with folder_lock(tmp_path, "training"):
        pass


@pytest.mark.skipif(sys.platform == "win32", reason="other locks")
@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL])
def test_a_file_system_without_locks(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(module.fcntl, "lockf", refuse)
    with folder_lock(tmp_path, "training"):
        pass


def test_a_folder_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "run" / ".lock").mkdir(parents=True)
    (tmp_path / "loop").symlink_to("loop")
    for run in ("file", "file/run", "run", "loop", "loop/run"):
        with pytest.raises(InputError, match="cannot write"), folder_lock(tmp_path / run, "training"):
            pass


def test_many_at_once_never_share_it(tmp_path: Path) -> None:
    """Each adds one to a number, in two steps. The removal of the file is where it could fail."""
    script = """
import sys
from pathlib import Path
from bcpnet.errors import UsageError
from bcpnet.storage.folder_lock import folder_lock
run, number, done = Path(sys.argv[1]), Path(sys.argv[2]), 0
while done < 20:
    try:
        with folder_lock(run, "training"):
            number.write_text(str(int(number.read_text()) + 1))
            done += 1
    except UsageError:
        pass
"""
    number = tmp_path / "number"
    number.write_text("0")
    command = [sys.executable, "-c", script, str(tmp_path / "run"), str(number)]
    processes = [subprocess.Popen(command) for _ in range(3)]
    assert [process.wait() for process in processes] == [0] * 3
    assert number.read_text() == "60"
