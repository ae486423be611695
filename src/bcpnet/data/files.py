"""Samples that lie in files: how images and label files are read, and the sequence over their paths."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from bcpnet.data.base import Sample
from bcpnet.errors import InputError, UsageError
from bcpnet.labels import IGNORE, ClassSet, Colour, lookup_table
from bcpnet.media.images import read_image

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")

# What Pillow raises on files that are not what they should be.
_PILLOW_ERRORS = (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError)

LabelReader = Callable[[Path], npt.NDArray[np.uint8]]


class Item(NamedTuple):
    """Where one sample lies; `label` is None where the split has no labels."""

    name: str
    image: Path
    label: Path | None


class FileDataset:
    """A dataset whose samples are files; see `bcpnet.data.base.Dataset`.

    Attributes:
        classes: names and colours, in the order of the train ids.
        items: the samples' names and paths.
    """

    def __init__(self, classes: ClassSet, items: list[Item], read_label: LabelReader) -> None:
        """`read_label` turns the path of a label file into H x W uint8 train ids."""
        self.classes = classes
        self.items = items
        self._read_label = read_label

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.items)

    def __getitem__(self, index: int) -> Sample:
        """Reads sample `index`.

        Raises:
            InputError: a file cannot be read, or the label does not fit the image or the classes.
        """
        item = self.items[index]
        image = read_image(item.image)
        label = None if item.label is None else self._read_label(item.label)
        if label is not None and label.shape != image.shape[:2]:
            raise InputError(
                f"{item.label}: label is {_size(label)} (width x height), its image {item.image} is {_size(image)}"
            )
        return Sample(image, label, item.name)


class IdLabels:
    """Reads label files that hold one id a pixel: 8-bit greyscale or palette images."""

    def __init__(self, train_id_of: dict[int, int]) -> None:
        """`train_id_of`: value in the file -> train id or IGNORE, for every value that may occur."""
        self._table = lookup_table(train_id_of)
        self._known = np.isin(np.arange(256), list(train_id_of))

    def __call__(self, path: Path) -> npt.NDArray[np.uint8]:
        """H x W uint8 train ids. Raises InputError on colours, lossy files and ids that are not named."""
        image = _open(path)
        if image.mode not in ("1", "L", "P"):
            raise InputError(f"{path}: label is {image.mode}, need one 8-bit id a pixel (greyscale or palette PNG)")
        if image.format == "JPEG":
            raise InputError(f"{path}: label is a JPEG, which changes ids; need PNG")
        values = np.asarray(image).astype(np.uint8, copy=False)
        unknown = values[~self._known[values]]
        if unknown.size:
            raise InputError(f"{path}: label id {unknown[0]} is out of range, expected {self._expected()}")
        return self._table[values]

    def _expected(self) -> str:
        """The known values as ranges: "0..11, 255"."""
        edges = np.flatnonzero(np.diff(np.pad(self._known, 1).astype(np.int8)))
        spans = edges.reshape(-1, 2) - (0, 1)
        return ", ".join(f"{low}..{high}" if low < high else f"{low}" for low, high in spans)


class ColourLabels:
    """Reads label files that hold a colour a pixel: RGB or palette images."""

    def __init__(self, train_id_of: dict[Colour, int]) -> None:
        """`train_id_of`: colour in the file -> train id or IGNORE, for every colour that may occur."""
        packed = sorted((int(_pack(np.array(colour))), train_id) for colour, train_id in train_id_of.items())
        self._keys = np.array([key for key, _ in packed], np.uint32)
        self._train_ids = np.array([train_id for _, train_id in packed], np.uint8)

    def __call__(self, path: Path) -> npt.NDArray[np.uint8]:
        """H x W uint8 train ids. Raises InputError on greyscale files and on colours that are not named."""
        image = _open(path)
        if image.mode not in ("RGB", "RGBA", "P"):
            raise InputError(f"{path}: label is {image.mode}, need the colours of the classes (RGB PNG)")
        pixels = np.asarray(image.convert("RGB"))
        packed = _pack(pixels)
        rows = np.minimum(np.searchsorted(self._keys, packed), len(self._keys) - 1)
        unknown = self._keys[rows] != packed
        if unknown.any():
            raise InputError(f"{path}: label colour {pixels[unknown][0].tolist()} belongs to no class")
        return self._train_ids[rows]


def with_ignore(train_id_of: dict[int, int]) -> dict[int, int]:
    """The same table, with 255 in a file read as IGNORE unless it is named."""
    return {IGNORE: IGNORE} | train_id_of


def images_in(folder: Path) -> dict[str, Path]:
    """Stem -> path of the images in one folder, sorted by stem. Raises InputError where there are none."""
    found = by_stem(path for path in folder.glob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
    if not found:
        raise InputError(f"{folder}: no images ({' '.join(IMAGE_SUFFIXES)})")
    return found


def by_stem(paths: Iterable[Path]) -> dict[str, Path]:
    """Stem -> path, sorted, hidden files left out. Raises InputError where two have one stem."""
    found: dict[str, Path] = {}
    for path in sorted(path for path in paths if not path.name.startswith(".")):
        if path.stem in found:
            raise InputError(f"{path}: same name as {found[path.stem]}; names must be unique in a split")
        found[path.stem] = path
    return dict(sorted(found.items()))


def check_label_files(items: list[Item]) -> list[Item]:
    """The same items. Raises InputError, naming image and label, where a label file is missing."""
    for item in items:
        if item.label is not None and not item.label.is_file():
            raise InputError(f"{item.label}: no such label file, for image {item.image}")
    return items


def check_split(split: str, splits: Iterable[str], where: str) -> None:
    """Raises UsageError, naming the splits there are, unless `split` is one."""
    names = list(splits)
    if split not in names:
        raise UsageError(f"{where} has no split '{split}'; it has {', '.join(names)}")


def _open(path: Path) -> Image.Image:
    """The decoded image in its own mode."""
    try:
        with path.open("rb") as file:
            image = Image.open(file)
            image.load()
    except UnidentifiedImageError as error:
        raise InputError(f"{path}: not an image") from error
    except _PILLOW_ERRORS as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: cannot read this image: {reason}") from error
    return image


def _pack(colours: npt.NDArray[np.integer]) -> npt.NDArray[np.uint32]:
    """... x 3 colours as one number each."""
    red, green, blue = np.moveaxis(colours.astype(np.uint32), -1, 0)
    return np.asarray(red << 16 | green << 8 | blue)


def _size(array: npt.NDArray[np.uint8]) -> str:
    return f"{array.shape[1]}x{array.shape[0]}"
