"""`bcpnet` as a function for tests."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple


class Ran(NamedTuple):
    """What a call of `bcpnet` did: its exit code, what it printed, what it said on standard error."""

    code: int
    out: str
    err: str


Cli = Callable[..., Ran]


def files(folder: Path) -> set[str]:
    """Everything under a folder, hidden files too; nothing where there is no such folder."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def assert_one_line(error: str) -> None:
    """What was said on standard error is one line of ours."""
    assert error.startswith("bcpnet: ")
    assert error.count("\n") == 1
    assert error.endswith("\n")
    assert "Traceback" not in error


def bcpnet_process(*arguments: object, **options: Any) -> subprocess.Popen[bytes]:
    """`bcpnet` in a process of its own, which Ctrl-C reaches."""
    return subprocess.Popen(
        [sys.executable, "-m", "bcpnet", *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=options.pop("stdin", subprocess.PIPE),
        preexec_fn=(lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)) if os.name != "nt" else None, **options,
    )  # fmt: skip
