"""One program at a time that writes into a folder."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bcpnet.errors import InputError, UsageError
from bcpnet.storage.damaged import shortened
from bcpnet.storage.files import make_folder, real_path

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_NAME = ".lock"
_TRIES = 100
# Folders that this process has: the system would grant it the same lock again.
_HELD: set[Path] = set()


@contextmanager
def folder_lock(folder: Path, what: str) -> Iterator[None]:
    """Keeps others that lock it, of any process and machine that sees it, out of `folder` while the block runs.

    Missing folders are made, and removed again if nothing came of them.

    The system holds the lock, and drops it when the process ends, whatever ended it. The file `.lock`, which a killed
    process leaves, says who had it and blocks nobody. Where a file system has no locks, nobody is kept out.

    Args:
        folder: to write into.
        what: does so, in a word, for messages: "training".

    Raises:
        UsageError: another one has it.
        InputError: the folder cannot be written.
    """
    key = real_path(folder)
    if key in _HELD:
        raise _taken(folder, what, f"process {os.getpid()}")
    path = folder / _NAME
    new = [each for each in (folder, *folder.parents) if not each.exists()]
    try:
        file = _locked(path)
        if file is None:
            raise _taken(folder, what, _who(path))
    except OSError as error:
        raise InputError(f"{folder}: cannot write: {error.strerror or error}") from error
    _HELD.add(key)
    with suppress(OSError):  # a disk that is full will be told of by what needs it
        os.ftruncate(file, 0)
        os.write(file, f"process {os.getpid()} on {platform.node()}".encode())
    try:
        yield
    finally:
        _HELD.discard(key)
        if sys.platform == "win32":  # where open files cannot be removed
            os.close(file)
        with suppress(OSError):
            path.unlink()
            for each in new:  # where nothing came of it
                each.rmdir()
        if sys.platform != "win32":
            os.close(file)


def _taken(folder: Path, what: str, who: str) -> UsageError:
    return UsageError(f"{folder}: another {what} ({who}) writes there: wait for its end, or choose another --out")


def _who(path: Path) -> str:
    try:
        return shortened(path.read_text(errors="replace")) or "just begun"
    except OSError:
        return "just ended"


def _locked(path: Path) -> int | None:
    """Descriptor of the file at `path`, locked; None where another process has it."""
    for _ in range(_TRIES):
        make_folder(path.parent)
        with suppress(FileNotFoundError):  # who had it has removed it in between
            file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
            if not _lock(file):
                os.close(file)
                return None
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(file), path.stat()):
                    return file
            os.close(file)
    return None


def _lock(file: int) -> bool:
    try:
        if sys.platform == "win32":
            os.lseek(file, 1 << 30, os.SEEK_SET)  # a byte that nobody reads
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
            os.lseek(file, 0, os.SEEK_SET)
        else:  # not flock: children that are forked would keep it
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:  # no locks on this file system
        return True
    return True
