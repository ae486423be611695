"""Files that are whole or absent: everything bcpnet writes goes to a temporary name and is renamed at the end."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from bcpnet.errors import InputError
from bcpnet.storage.damaged import reason

_PREFIX = ".bcpnet-"
_RANDOM_BYTES = 8
_TRIES = 100
_LONGEST_SUFFIX = 16  # bytes; what is longer is no kind of file
_unfinished: set[Path] = set()


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside `path` with the same suffix; renames it to `path` when the block succeeds.

    Missing parent folders are made. If the block raises, nothing is left behind and `path` is untouched. The temporary
    name is short, whatever the length of the other: a name of 255 bytes can be written.

    Raises:
        InputError: the folder cannot be written, the disk is full, the name is too long, or what is there is no file.
    """
    path = Path(path)
    _require_name(path)
    suffix = path.suffix if len(os.fsencode(path.suffix)) <= _LONGEST_SUFFIX else ""
    temporary = path.parent / f"{_PREFIX}{secrets.token_hex(_RANDOM_BYTES)}{suffix}"
    try:
        make_folder(path.parent)
        _require_writable(path)
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


def require_file(path: Path) -> None:
    """Raises InputError where there is no file at `path` to be read, or the system does not let us see."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise InputError(f"{path}: not a file")
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except (OSError, ValueError) as error:  # no permission, a name that is too long, or with a NUL
        raise InputError(f"{path}: cannot read: {reason(error)}") from error


def require_writable(path: Path) -> None:
    """Before long work: raises InputError where its result, `path`, cannot be written. Leaves nothing behind."""
    path = Path(path).absolute()
    _require_name(path)
    folder = next(part for part in path.parents if os.path.lexists(part))
    try:
        if not folder.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, f"{folder} is not a folder")
        _require_writable(path)
        probe = folder / f"{_PREFIX}{secrets.token_hex(_RANDOM_BYTES)}"
        probe.touch(exist_ok=False)
        probe.unlink()
    except OSError as error:
        raise InputError(f"{path}: cannot write: {error.strerror or error}") from error


def _require_name(path: Path) -> None:
    """Raises InputError for a name that no file can have."""
    try:
        is_name = b"\0" not in os.fsencode(path)
    except UnicodeEncodeError:
        is_name = False
    if not is_name:
        raise InputError(f"{path}: cannot write: no file can have that name")


def _require_writable(path: Path) -> None:
    """Raises OSError where the rename would fail, before the work and not after, or replace a device or a pipe."""
    with suppress(FileNotFoundError):
        mode = path.lstat().st_mode  # which raises for a name that is too long
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, "a folder has this name")
        if not stat.S_ISREG(mode) and not stat.S_ISLNK(mode):
            raise OSError(errno.EINVAL, "not a regular file")


def make_folder(folder: Path) -> None:
    """Makes a folder and those above it, where they are not there, while other processes may remove them.

    Raises:
        OSError: it cannot be made; names a file in the way.
    """
    for _ in range(_TRIES):
        with suppress(FileExistsError, FileNotFoundError, NotADirectoryError):
            return folder.mkdir(parents=True, exist_ok=True)
        there = next(part for part in (folder, *folder.parents) if os.path.lexists(part))
        if not there.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, f"{there} is not a folder")
    return folder.mkdir(parents=True, exist_ok=True)


def real_path(path: Path) -> Path:
    """The file or folder that `path` leads to, to compare it with others; of links in a circle, one of them.

    `Path.resolve` raises for these, before Python 3.13.
    """
    return Path(os.path.realpath(path))


def remove_unfinished() -> None:
    """For a process that ends at once: removes the temporary files of all that is being written."""
    for temporary in list(_unfinished):
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def remove_left_behind(folder: Path, suffixes: Sequence[str]) -> None:
    """Removes the temporary files with these suffixes that a killed process left in `folder`, where none is running."""
    for suffix in suffixes:
        for temporary in folder.glob(f"{_PREFIX}{'[0-9a-f]' * 2 * _RANDOM_BYTES}{suffix}"):
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Writes `data` to `path` as a whole or not at all. Raises InputError where it cannot."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)
