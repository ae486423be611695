"""What there is to do, cut into units: the same units for the same inputs, whoever asks and whenever."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import astuple, dataclass
from itertools import chain, islice
from pathlib import PurePosixPath
from typing import Literal

import pyarrow.parquet as pq

from bcpnet.errors import InputError
from bcpnet.media.sources import IMAGE_SUFFIXES, VIDEO_SUFFIXES
from bcpnet.media.video import video_info
from bcpnet.pipeline import ordered_map
from bcpnet.prediction.batch.files import expand, full_name, opened, read_bytes
from bcpnet.prediction.tables import file_name

UNIT_IMAGES = 128
UNIT_ROWS = 128  # of a Parquet file, at least
UNIT_SECONDS = 20  # of a video

_LOOKED_INTO_AT_ONCE = 8
_TARS = (".tar", ".tar.gz", ".tgz")

Kind = Literal["image", "video", "tar", "parquet"]


@dataclass(frozen=True)
class Item:
    """A file, or a part of one, that one process works on.

    Attributes:
        path: its full name.
        start: of a video, in seconds; of a Parquet file the number of its first row group.
        end: where it ends, that one not included; None = at the end.
    """

    path: str
    start: int = 0
    end: int | None = None

    @property
    def kind(self) -> Kind:
        """By the file's name."""
        name = file_name(self.path)
        if name.endswith(_TARS):
            return "tar"
        if name.endswith(".parquet"):
            return "parquet"
        return "video" if PurePosixPath(name).suffix in VIDEO_SUFFIXES else "image"


@dataclass(frozen=True)
class Unit:
    """Items whose rows are one shard."""

    items: tuple[Item, ...]

    def digest(self, settings: object) -> str:
        """A short name: of this unit, worked on with these settings (what JSON takes)."""
        text = json.dumps([settings, [astuple(item) for item in self.items]], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:24]


def find_items(sources: Sequence[str]) -> list[Item]:
    """All that these inputs hold, each once, in a fixed order.

    Args:
        sources: images, videos, tar and Parquet files, folders and globs of them; .txt files, which have a name a line.

    Raises:
        InputError: nothing is there, or a folder or list cannot be read.
    """
    names = sorted(set(chain.from_iterable(_names(source) for source in sources)))
    with closing(ordered_map(_parts, names, _LOOKED_INTO_AT_ONCE)) as parts:
        return list(chain.from_iterable(parts))


def units_of(items: Iterable[Item]) -> list[Unit]:
    """The items, in units: so many images each, all others one by one."""
    images = [item for item in items if item.kind == "image"]
    return [
        *(Unit(part) for part in _chunks(images, UNIT_IMAGES)),
        *(Unit((item,)) for item in items if item.kind != "image"),
    ]


def _names(source: str) -> list[str]:
    files = expand(source)
    if files == [full_name(source)]:
        if not file_name(source).endswith(".txt"):
            return files
        lines = read_bytes(source).decode(errors="replace").splitlines()
        return [full_name(line.strip()) for line in lines if line.strip()]
    known = (*IMAGE_SUFFIXES, *VIDEO_SUFFIXES, *_TARS, ".parquet")
    found = [file for file in files if file_name(file).endswith(known)]
    if not found:
        raise InputError(f"{source}: no images, videos, tar or Parquet files")
    return found


def _parts(name: str) -> list[Item]:
    item = Item(name)
    if item.kind == "parquet":
        return _row_groups(name)
    if item.kind == "video" and "://" not in name:  # of others each part would be another copy of the whole
        return _seconds(name)
    return [item]


def _seconds(name: str) -> list[Item]:
    try:
        info = video_info(name)
    except InputError:  # told when its turn comes
        return [Item(name)]
    length_s = (info.frames or 0) / info.fps
    starts = range(0, max(1, int(-(-length_s // UNIT_SECONDS))) * UNIT_SECONDS, UNIT_SECONDS)
    return [Item(name, start, start + UNIT_SECONDS if start != starts[-1] else None) for start in starts]


def _row_groups(name: str) -> list[Item]:
    try:
        with opened(name) as file:
            metadata = pq.read_metadata(file)
    except InputError:  # told when its turn comes
        return [Item(name)]
    parts, start, rows = [], 0, 0
    for number in range(metadata.num_row_groups):
        rows += metadata.row_group(number).num_rows
        if rows >= UNIT_ROWS or number == metadata.num_row_groups - 1:
            parts.append(Item(name, start, number + 1))
            start, rows = number + 1, 0
    return parts


def _chunks(items: Iterable[Item], size: int) -> Iterator[tuple[Item, ...]]:
    rest = iter(items)
    while chunk := tuple(islice(rest, size)):
        yield chunk
