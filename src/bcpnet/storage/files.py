"""Files that are whole or absent: everything bcpnet writes goes to a temporary name and is renamed at the end."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bcpnet.errors import InputError

_unfinished: set[Path] = set()


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside `path` with the same suffix; renames it to `path` when the block succeeds.

    Missing parent folders are made. If the block raises, nothing is left behind and `path` is untouched.

    Raises:
        InputError: the folder cannot be written, or the disk is full.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.stem}.{secrets.token_hex(4)}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _unfinished.add(temporary)
        yield temporary
        # The rename must not outlive the data after a power cut.
        with temporary.open("r+b") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise InputError(f"{path}: cannot write: {error.strerror or error}") from error
    finally:
        with suppress(OSError):  # such as a file in the place of the folder: the error above says so
            temporary.unlink(missing_ok=True)
        _unfinished.discard(temporary)


def remove_unfinished() -> None:
    """For a process that ends at once: removes the temporary files of all that is being written."""
    for temporary in list(_unfinished):
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Writes `data` to `path` as a whole or not at all. Raises InputError where it cannot."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)
