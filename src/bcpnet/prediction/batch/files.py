"""Files of this machine and of object stores, by name: s3://bucket/key, gs://bucket/key, or a path.

Addresses are plain text, as the stores' own programs have them: "%20" in one means these three characters.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

import pyarrow as pa
from pyarrow.fs import FileSelector, FileSystem, FileType, LocalFileSystem

from bcpnet.errors import InputError, UsageError
from bcpnet.storage.damaged import damage, reason
from bcpnet.storage.files import atomic_path

_MOST_BYTES = 1 << 28  # of one encoded picture
_MAGIC = re.compile(r"[*?[]")
_OPTIONS = re.compile(r"\?\w+=.*")  # at the end of an address; elsewhere "?" is a sign of a glob


def full_name(name: str) -> str:
    """An address as it is; a path from the root, which other processes and machines understand."""
    return name if "://" in name else str(Path(name).absolute())


def expand(name: str) -> list[str]:
    """The files that a name stands for: itself, those directly in a folder, or a glob's ("*", "?", "[...]", "**").

    Names that start with a dot are left out of folders and globs.

    Returns:
        Full names, sorted.

    Raises:
        InputError: nothing is there, or it cannot be read.
        UsageError: an address that pyarrow does not know.
    """
    name = full_name(name)
    with _told(name):
        path = _opened(name)[1]
        kind = _kind(name)
        if kind == FileType.File:
            return [name]
        if kind == FileType.Directory:
            found = _files_in(name, path, recursive=False)
        elif magic := _MAGIC.search(path):
            base, pattern = path[: magic.start()].rpartition("/")[0] or "/", _pattern(path)
            every = _files_in(name, base, recursive="/" in path[magic.start() :])
            found = [each for each in every if pattern.fullmatch(each)]
        else:
            raise InputError(f"{name}: cannot read: No such file or directory")
    return sorted(_named(name, path) for path in found if not path.rpartition("/")[2].startswith("."))


def list_folder(folder: str) -> list[str]:
    """The names of the files in a folder, without it; none where there is no such folder. Raises as `expand`."""
    with _told(folder):
        files, path = _opened(folder)
        infos = files.get_file_info(FileSelector(path, allow_not_found=True))
        return sorted(info.base_name for info in infos if info.type == FileType.File)


@contextmanager
def opened(name: str) -> Iterator[Any]:
    """A file to read from, anywhere in it. Raises InputError, also for what pyarrow raises in the block."""
    with _told(name):
        files, path = _opened(name)
        with files.open_input_file(path) as file:
            yield file


def read_bytes(name: str) -> bytes:
    """A whole file of at most 256 MiB. Raises InputError."""
    with opened(name) as file:
        if file.size() > _MOST_BYTES:
            raise InputError(f"{name}: more than {_MOST_BYTES >> 20} MiB: no picture is that large")
        content: bytes = file.read()
        return content


def copy_here(name: str, to: Path) -> None:
    """Copies a file of an object store to this machine. Raises InputError."""
    with opened(name) as source, atomic_path(to) as temporary, temporary.open("wb") as file:
        shutil.copyfileobj(source, file)


def copy_there(file: IO[bytes], name: str) -> None:
    """Writes what is in `file` under a name; an object store shows it when it is whole. Raises InputError."""
    with _told(name, "write"):
        files, path = _opened(name)
        files.create_dir(path.rpartition("/")[0], recursive=True)
        with files.open_output_stream(path) as target:
            shutil.copyfileobj(file, target)


def joined(folder: str, name: str) -> str:
    """The name of a file in a folder; the options of an address stay at its end."""
    address, options = _divided(folder)
    return f"{address.rstrip('/')}/{name}{options}"


def _opened(name: str) -> tuple[FileSystem, str]:
    if "://" not in name:
        return LocalFileSystem(), name
    address, options = _divided(name)
    try:
        files, path = FileSystem.from_uri(quote(address, safe=":/@") + options)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError) as error:
        raise UsageError(f"{name}: not an address that pyarrow reads ({reason(error)})") from error
    return files, path


def _kind(name: str) -> FileType:
    files, path = _opened(name)
    if "://" in name:
        return files.get_file_info(path).type
    # Not pyarrow here and below: it fails on names that are no UTF-8.
    here = Path(path)
    return FileType.File if here.is_file() else FileType.Directory if here.is_dir() else FileType.NotFound


def _files_in(like: str, folder: str, recursive: bool) -> list[str]:
    """Paths of the files in a folder of the file system that `like` names; none where there is no such folder."""
    if "://" in like:
        selector = FileSelector(folder, recursive=recursive, allow_not_found=True)
        return [info.path for info in _opened(like)[0].get_file_info(selector) if info.type == FileType.File]

    def fail(error: OSError) -> None:
        raise error

    found = []
    for base, folders, names in os.walk(folder, onerror=fail if Path(folder).is_dir() else None, followlinks=True):
        found += [str(path) for name in names if (path := Path(base, name)).is_file()]
        if not recursive:
            folders.clear()
    return found


def _named(like: str, path: str) -> str:
    """The name of what lies at `path` in the file system that `like` names."""
    if "://" not in like:
        return path
    address, options = _divided(like)
    return f"{address.partition('://')[0]}://{path}{options}"


def _divided(name: str) -> tuple[str, str]:
    """An address and its options; a path has none."""
    options = _OPTIONS.search(name) if "://" in name else None
    return (name[: options.start()], options[0]) if options else (name, "")


def _pattern(path: str) -> re.Pattern[str]:
    """A glob as a regular expression: "**/" crosses folders, the other signs do not."""
    parts = re.split(r"(\*\*/|\*\*|\*|\?|\[[^]/]+\])", path)
    signs = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return re.compile("".join(signs.get(part, _letters(part)) for part in parts))


def _letters(part: str) -> str:
    if part.startswith("[") and part.endswith("]"):
        return "[" + re.sub(r"^!", "^", part[1:-1].replace("\\", r"\\")) + "]"
    return re.escape(part)


@contextmanager
def _told(name: str, doing: str = "read") -> Iterator[None]:
    failures: tuple[type[Exception], ...] = (*damage("pyarrow"), UnicodeError)  # the latter for names that are no UTF-8
    try:
        yield
    except failures as error:  # also what a damaged Parquet file gives
        raise InputError(f"{name}: cannot {doing}: {reason(error)}") from error
