"""Standard output and standard error, whatever they are: closed, full, or of an encoding that lacks a letter."""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress


def open_streams() -> None:
    """Makes standard input, output and error usable, those that are closed (`2>&-`) lead nowhere.

    Left closed, the next file opened would take their place, and get what libraries print. What an encoding cannot say
    is written with backslashes.
    """
    while (free := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(free, True)
    os.close(free)
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115, PTH123
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def say(text: str = "", end: str = "\n") -> None:
    """Prints on standard error. What cannot be said there, on a full disk or to a reader that went, is not said."""
    with suppress(OSError, ValueError):  # ValueError: closed by somebody
        print(text, end=end, file=sys.stderr, flush=True)


def complain(error: object) -> None:
    """One line on standard error, whatever a library, or the name of a file, put into the message."""
    say(f"bcpnet: {' '.join(str(error).split())}")
