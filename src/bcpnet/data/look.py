"""What there is to know of one sample on disk, for the check of a dataset: sizes, pixels per class, what is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from bcpnet.data.duplicates import Thumbnail, thumbnail
from bcpnet.data.files import FileDataset, UnnamedValueError
from bcpnet.data.find import why_no_file
from bcpnet.errors import InputError
from bcpnet.labels import IGNORE
from bcpnet.media.images import read_header, read_image

_ENDS = {".png": b"IEND", ".jpg": b"\xff\xd9", ".jpeg": b"\xff\xd9"}
_TAIL_BYTES = 4096  # some programs write more after the end

Kind = Literal["missing", "broken", "size", "value", "orientation", "empty"]


class Fault(NamedTuple):
    """Something wrong with one file: `what` tells it without the file's name."""

    kind: Kind
    path: Path
    what: str


class Look(NamedTuple):
    """One sample.

    Attributes:
        size_wh: of the image, upright, in pixels; None where it cannot be read.
        pixels: K + 1 int64, the label's pixels of each class, then those that do not count; None if not decoded.
        thumbnail: for `near_duplicates`; None if not decoded.
        faults: what is wrong.
    """

    size_wh: tuple[int, int] | None
    pixels: npt.NDArray[np.int64] | None
    thumbnail: Thumbnail | None
    faults: list[Fault]


def glance(dataset: FileDataset, index: int) -> Look:
    """Sample `index` as far as the first bytes of its files tell; nothing is decoded."""
    item = dataset.items[index]
    faults: list[Fault] = []
    image = _header(item.image, "image", faults)
    label = None if item.label is None else _header(item.label, "label file", faults)
    if image and item.label is not None and label:
        (size_wh, orientation), (label_wh, label_orientation) = image, label
        if size_wh != label_wh:
            sizes = f"the label is {_size(label_wh)} pixels (width x height), its image {_size(size_wh)}"
            faults.append(Fault("size", item.label, sizes))
        elif orientation != 1 and label_orientation == 1:
            faults.append(Fault("orientation", item.image, "its EXIF orientation turns the image, and not its label"))
    return Look(image and image[0], None, None, faults)


def seems_cut(path: Path) -> bool:
    """Whether a PNG or JPEG lacks its end, as after a copy that broke off. False where that cannot be known."""
    end = _ENDS.get(path.suffix.lower())
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
            return end is not None and end not in file.read()
    except (OSError, ValueError):
        return False


def look(dataset: FileDataset, index: int) -> Look:
    """All of sample `index`: both files are decoded."""
    item, seen = dataset.items[index], glance(dataset, index)
    small = pixels = None
    if not _unreadable(seen, item.image):
        try:
            small = thumbnail(read_image(item.image))
        except InputError as error:
            seen.faults.append(Fault("broken", item.image, _without(error, item.image)))
    if item.label is not None and not _unreadable(seen, item.label):
        try:
            counts = np.bincount(dataset.read_label(item.label).ravel(), minlength=IGNORE + 1)
            pixels = np.append(counts[: len(dataset.classes)], counts[IGNORE])
            if not pixels[:-1].any():
                seen.faults.append(Fault("empty", item.label, "the label has no pixel that counts"))
        except UnnamedValueError as error:
            seen.faults.append(Fault("value", item.label, _without(error, item.label)))
        except InputError as error:
            seen.faults.append(Fault("broken", item.label, _without(error, item.label)))
    return seen._replace(pixels=pixels, thumbnail=small)


def _unreadable(seen: Look, path: Path) -> bool:
    return any(fault.path == path and fault.kind in ("missing", "broken") for fault in seen.faults)


def _header(path: Path, what: str, faults: list[Fault]) -> tuple[tuple[int, int], int] | None:
    """As `read_header`; None where it cannot be read, and a fault more."""
    missing = why_no_file(path, what)
    if missing:
        faults.append(Fault("missing", path, missing.removeprefix(f"{path}: ")))
        return None
    try:
        return read_header(path)
    except InputError as error:
        faults.append(Fault("broken", path, _without(error, path)))
        return None


def _size(size_wh: tuple[int, int]) -> str:
    return f"{size_wh[0]}x{size_wh[1]}"


def _without(error: InputError, path: Path) -> str:
    return str(error).removeprefix(f"{path}: ").replace(str(path), "it")
