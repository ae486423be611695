"""From an address to a source."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Generator
from fractions import Fraction
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from bcpnet.errors import InputError, InputWarning, UsageError
from bcpnet.media.images import read_image
from bcpnet.media.live.address import Address
from bcpnet.media.live.reader import Reader
from bcpnet.media.live.received import Listed
from bcpnet.media.live.source import Reads, Source

Policy = Literal["every", "newest"]

_FPS = Fraction(25)  # of numbered pictures, as FFmpeg has it


def source_of(
    address: Address,
    policy: Policy | None = None,
    duration_s: float | None = None,
    max_frames: int | None = None,
    tell: Callable[[str], None] | None = None,
) -> Source:
    """A source that is not opened yet; what is given is what `bcpnet.open_source` takes.

    Raises:
        UsageError: a policy, a duration or a number that there is not.
        InputError: no pictures of those numbers.
    """
    if policy is not None and policy not in get_args(Policy):
        raise UsageError(f"policy {policy!r}: need 'every' or 'newest'")
    reads: Reads
    if address.kind == "numbered":
        if policy == "newest":
            raise UsageError(f"{address.name}: pictures wait for who takes them: 'every' is their only policy")
        reads = Listed(_pictures(_numbered(Path(address.target))), _FPS)
    else:
        reads = Reader(address, None if policy is None else policy == "newest", _warn if tell is None else tell)
    return Source(address.name, reads, duration_s, max_frames)


def _warn(text: str) -> None:
    warnings.warn(text, InputWarning, stacklevel=2)


def _numbered(pattern: Path) -> list[Path]:
    """The files of a pattern like "frame_%06d.png", in the order of their numbers."""
    before, width, after = re.split(r"%(?:0(\d+))?d", pattern.name, maxsplit=1)
    number = re.compile(re.escape(before) + r"(\d+)" + re.escape(after))
    found = {}
    try:
        for path in pattern.parent.iterdir():
            match = number.fullmatch(path.name)
            if match and match[1] == f"{int(match[1]):0{width or 1}d}":
                found[int(match[1])] = path
    except OSError as error:
        raise InputError(f"{pattern}: cannot read: {error.strerror}") from error
    if not found:
        raise InputError(f"{pattern}: no picture has such a name, with a number for the %")
    return [found[number] for number in sorted(found)]


def _pictures(paths: list[Path]) -> Generator[tuple[npt.NDArray[np.uint8], Fraction], None, None]:
    for index, path in enumerate(paths):
        yield read_image(path), index / _FPS
