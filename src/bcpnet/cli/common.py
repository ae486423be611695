"""What several verbs share: options, sizes, a status line, JSON."""

from __future__ import annotations

import json
import re
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import FlagCreatePairsOff, arg

from bcpnet.backends.auto import AUTO, choose
from bcpnet.cli.complain import say
from bcpnet.errors import UsageError
from bcpnet.storage.files import real_path

# Options as `--help` shows them: what to write, and no "(default: None)" where the text says what happens without.
Flag = Annotated[FlagCreatePairsOff[bool], arg(help_behavior_hint="")]
Name = Annotated[str | None, arg(metavar="NAME", help_behavior_hint="")]
Number = Annotated[int | None, arg(metavar="N", help_behavior_hint="")]
OptionalPath = Annotated[Path | None, arg(metavar="PATH", help_behavior_hint="")]
Size = Annotated[str | None, arg(metavar="HxW", help_behavior_hint="")]
Sizes = Annotated[tuple[str, ...], arg(metavar="HxW [HxW ...]")]

_MIN_SIDE, _MAX_SIDE = 32, 16384


def parse_size(text: str) -> tuple[int, int]:
    """ "360x640" -> (360, 640), height first. Raises UsageError for anything else."""
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text.strip().lower())
    if match:
        size = int(match[1]), int(match[2])
        if min(size) >= _MIN_SIDE and max(size) <= _MAX_SIDE:
            return size
    raise UsageError(
        f"size {text!r}: need HEIGHTxWIDTH in pixels, each {_MIN_SIDE} to {_MAX_SIDE}, for example 360x640"
    )


def require_apart(outputs: Sequence[Path | None], inputs: Sequence[Path | None]) -> None:
    """Raises UsageError where a file to write is one to read, or is named twice. None stands for no file."""
    written = [path for path in outputs if path is not None]
    taken = {real_path(path) for path in inputs if path is not None}
    for path in written:
        if real_path(path) in taken:
            raise UsageError(f"{path}: to be read and written, or written twice: name another file")
        taken.add(real_path(path))


def chosen_backend(name: str | None, weights: str, size_hw: tuple[int, int] | None, threads: int | None) -> str | None:
    """`name`; for "auto" the one it stands for, after a line on standard error that says why."""
    if name != AUTO:
        return name
    choice = choose(weights, size_hw, threads)
    say(str(choice))
    return choice.backend


def print_json(value: Any, indent: int | None = None) -> None:
    """Writes one JSON value to standard output, at once."""
    print(json.dumps(value, indent=indent), flush=True)


class Status:
    """A line on standard error that says how far things are: rewritten on a terminal, else repeated now and then.

    As a context manager it ends its line, so that what is printed next, an error for one, stands on its own.
    """

    def __init__(self, seconds: float = 10.0) -> None:
        """`seconds` between lines where there is no terminal."""
        self._terminal = sys.stderr.isatty()
        self._seconds = 0.1 if self._terminal else seconds
        self._last = -self._seconds if self._terminal else time.monotonic()
        self._shown = 0

    def __enter__(self) -> Status:
        """Nothing to prepare."""
        return self

    def __exit__(self, *_: object) -> None:
        """Ends the line."""
        self.close()

    def show(self, text: str, *, always: bool = False) -> None:
        """Shows `text`, unless the last one is too recent (`always`: even then)."""
        now = time.monotonic()
        if not always and now - self._last < self._seconds:
            return
        self._last = now
        if self._terminal:
            text = text[: shutil.get_terminal_size().columns - 1]  # a wrapped line could not be rewritten
            say(f"\r{text:{self._shown}}", end="")
            self._shown = len(text)
        else:
            say(text)

    def close(self) -> None:
        """Ends the line on a terminal."""
        if self._terminal and self._shown:
            say()
            self._shown = 0


def duration(seconds: float) -> str:
    """3725 -> "1:02:05"."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"
