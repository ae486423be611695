"""Lines of JSON: on standard output, or in a file."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from bcpnet.cli.common import print_json
from bcpnet.errors import InputError

_START = b'{"version": '


class Lines:
    """Takes one line after the other; each is there, whole, before the next one comes. Close it at the end."""

    def __init__(self, path: Path | None, overwrite: bool) -> None:
        """For a file at `path`, which is opened with the first line, or for standard output.

        Raises:
            InputError: a file that bcpnet did not write is there, and not to be overwritten.
        """
        self._path = path
        self._file: IO[str] | None = None
        if path is not None and not overwrite and os.path.lexists(path) and not _is_own(path):
            raise InputError(f"{path}: is there, and not lines of bcpnet's: kept; --overwrite replaces it")

    def write(self, value: Any) -> None:
        """Appends one line. Raises InputError where the file cannot be written."""
        if self._path is None:
            print_json(value)
            return
        try:
            if self._file is None:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._file = self._path.open("w", encoding="utf-8")
            self._file.write(json.dumps(value) + "\n")
            self._file.flush()
        except OSError as error:
            raise InputError(f"{self._path}: cannot write: {error.strerror}") from error

    def close(self) -> None:
        """Closes the file."""
        if self._file is not None:
            with suppress(OSError):  # of a full disk, which was said
                self._file.close()


def _is_own(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(_START)) in (_START, b"")
    except OSError:
        return False
