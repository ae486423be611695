"""Which exceptions mean that a file is damaged: the one place that says so, for every library that reads files.

    with damage_told(path, "yaml", "not the YAML it should be"):
        values = yaml.safe_load(data)  # the library's calls only, so that no fault of our own is taken for damage

A library is imported only after something was raised, and by then the caller has imported it.
`tests/storage/test_damaged.py` walks the exception classes of each library, so that those of a new version are seen.
"""

from __future__ import annotations

import importlib
import pickle
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from bcpnet.errors import InputError

Library = Literal[
    "PIL", "av", "json", "numpy", "onnxruntime", "openvino", "pyarrow", "safetensors", "tarfile", "tflite", "torch",
    "yaml", "zipfile",
]  # fmt: skip

_LONGEST_REASON = 200  # characters; some messages quote the file, whatever its size

# What code written in Python raises when bytes make no sense to it. Found by reading damaged files, and in the sources.
_SENSELESS_BYTES: tuple[type[Exception], ...] = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    BufferError,
    EOFError,
    LookupError,
    MemoryError,
    NameError,
    OSError,
    RuntimeError,
    StopIteration,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)

# Library -> Python's exceptions, and "module:class" of its own; "*" takes all exception classes of a module.
_DAMAGE: dict[Library, tuple[tuple[type[Exception], ...], tuple[str, ...]]] = {
    # Warnings, because `python -W error` makes exceptions of them.
    "PIL": ((*_SENSELESS_BYTES, Warning), ("PIL.Image:DecompressionBombError",)),
    # No TypeError: that is a wrong call, of which PyAV has had several from version to version.
    "av": (
        (ArithmeticError, AssertionError, EOFError, LookupError, MemoryError, OSError, RuntimeError, ValueError),
        ("av:FFmpegError",),
    ),
    "json": ((OSError, ValueError, RecursionError, MemoryError), ()),
    "numpy": ((*_SENSELESS_BYTES, pickle.PickleError, zipfile.BadZipFile), ()),
    "onnxruntime": (
        (IndexError, MemoryError, OSError, RuntimeError, ValueError),
        ("onnxruntime.capi.onnxruntime_pybind11_state:*",),
    ),
    "openvino": ((MemoryError, OSError, RuntimeError, ValueError), ("openvino._pyopenvino:*",)),
    "pyarrow": ((MemoryError, OSError), ("pyarrow:ArrowException",)),
    "safetensors": (
        (AttributeError, LookupError, MemoryError, OSError, OverflowError, RuntimeError, TypeError, ValueError),
        ("safetensors:SafetensorError",),
    ),
    # No OSError: it is told apart from the file system that an archive is read from.
    "tarfile": ((EOFError, LookupError, ValueError, struct.error, zlib.error), ("tarfile:TarError",)),
    "tflite": (_SENSELESS_BYTES, ()),
    "torch": ((*_SENSELESS_BYTES, pickle.PickleError), ()),
    "yaml": (_SENSELESS_BYTES, ("yaml:YAMLError",)),
    # No OSError: it is told apart from the disk that an archive is unpacked to. RuntimeError is one with a password.
    "zipfile": ((EOFError, LookupError, RuntimeError, ValueError, struct.error, zlib.error), ("zipfile:BadZipFile",)),
}


def damage(library: Library) -> tuple[type[Exception], ...]:
    """The exceptions by which `library`, which must be installed, says that a file is damaged or is none of its own.

    For an `except` clause around calls of that library only:

    Example:
        >>> import json
        >>> from bcpnet.storage.damaged import damage
        >>> try:
        ...     json.loads("[" * 100_000)
        ... except damage("json") as error:
        ...     print(type(error).__name__)
        RecursionError
    """
    raised_by_python, own = _DAMAGE[library]
    classes = []
    for name in own:
        module_name, _, wanted = name.partition(":")
        module = importlib.import_module(module_name)
        found = vars(module).values() if wanted == "*" else [getattr(module, wanted)]
        classes += [kind for kind in found if isinstance(kind, type) and issubclass(kind, Exception)]
    return (*raised_by_python, *classes)


def reason(error: BaseException) -> str:
    """What `error` says, as one printable line of at most 200 characters; "" where it says nothing."""
    if isinstance(error, MemoryError):
        return "not enough memory"
    if isinstance(error, RecursionError):
        return "nested too deeply"
    return shortened(getattr(error, "strerror", None) or error)


def shortened(text: object) -> str:
    """Text of unknown origin as one printable line of at most 200 characters, to be quoted in a message."""
    # Four times as much is more than enough for what is left when runs of blanks have become one.
    line = " ".join(str(text)[: 4 * _LONGEST_REASON].split())
    line = "".join(letter if letter.isprintable() else "�" for letter in line)
    return line if len(line) <= _LONGEST_REASON else f"{line[: _LONGEST_REASON - 1]}…"


@contextmanager
def damage_told(path: Path | str, library: Library, what: str) -> Iterator[None]:
    """Turns what `library` raises in the block into one line: the file, `what` is wrong with it, the library's reason.

    Raises:
        InputError: "PATH: WHAT (REASON)", or "PATH: cannot read: REASON" where the system refuses the file.
    """
    try:
        yield
    except damage(library) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise InputError(f"{path}: cannot read: {reason(error)}") from error
        said = reason(error)
        raise InputError(f"{path}: {what}" + (f" ({said})" if said else "")) from error
