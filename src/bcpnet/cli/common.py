"""What several verbs share: sizes, a status line, JSON."""

from __future__ import annotations

import json
import re
import sys
import time
from typing import Any

from bcpnet.errors import UsageError


def parse_size(text: str) -> tuple[int, int]:
    """ "360x640" -> (360, 640), height first. Raises UsageError for anything else."""
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text.strip().lower())
    if not match or min(size := (int(match[1]), int(match[2]))) < 32:
        raise UsageError(f"size {text!r}: need HEIGHTxWIDTH in pixels, at least 32x32, for example 360x640")
    return size


def print_json(value: Any, indent: int | None = None) -> None:
    """Writes one JSON value to standard output, at once."""
    print(json.dumps(value, indent=indent), flush=True)


class Status:
    """A line on standard error that says how far things are: rewritten on a terminal, else repeated now and then."""

    def __init__(self, seconds: float = 10.0) -> None:
        """`seconds` between lines where there is no terminal."""
        self._terminal = sys.stderr.isatty()
        self._seconds = 0.1 if self._terminal else seconds
        self._last = time.monotonic()
        self._shown = 0

    def show(self, text: str, *, always: bool = False) -> None:
        """Shows `text`, unless the last one is too recent (`always`: even then)."""
        now = time.monotonic()
        if not always and now - self._last < self._seconds:
            return
        self._last = now
        if self._terminal:
            print(f"\r{text:{self._shown}}", end="", file=sys.stderr, flush=True)
            self._shown = len(text)
        else:
            print(text, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Ends the line on a terminal."""
        if self._terminal and self._shown:
            print(file=sys.stderr)
            self._shown = 0


def duration(seconds: float) -> str:
    """3725 -> "1:02:05"."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"
