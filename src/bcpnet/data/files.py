"""Samples that lie in files: how images and label files are read, and the sequence over their paths."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile

from bcpnet.data.base import Sample
from bcpnet.data.find import Item, check_files
from bcpnet.errors import InputError, UsageError
from bcpnet.labels import IGNORE, ClassSet, Colour, lookup_table
from bcpnet.media.images import decode, read_image
from bcpnet.storage.damaged import shortened

_MOST_NAMES, _MOST_VALUES = 10, 5  # in a message

_LOSSY = ("JPEG", "MPO", "JPEG2000", "WEBP", "AVIF")
_LOSSY_IN_TIFF = ("jpeg", "tiff_jpeg", "webp")

LabelReader = Callable[[Path], npt.NDArray[np.uint8]]


class FileDataset:
    """A dataset whose samples are files; see `bcpnet.data.base.Dataset`.

    Attributes:
        classes: names and colours, in the order of the train ids.
        items: the samples' names and paths.
        read_label: turns the path of a label file into H x W uint8 train ids.
    """

    def __init__(self, classes: ClassSet, items: list[Item], read_label: LabelReader, complete: bool = True) -> None:
        """Looks whether the files are there, unless they need not be `complete`.

        Args:
            classes: names and colours.
            items: the samples' names and paths.
            read_label: turns the path of a label file into H x W uint8 train ids.
            complete: False for a dataset that is to be checked: a missing file is told when it is read.

        Raises:
            InputError: a file is missing.
        """
        if complete:
            check_files(items)
        self.classes = classes
        self.items = items
        self.read_label = read_label

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
        label = None if item.label is None else self.read_label(item.label)
        if label is not None and label.shape != image.shape[:2]:
            turned = ": is one of them turned by its EXIF orientation?" if label.shape == image.shape[1::-1] else ""
            sizes = f"label is {_size(label)} (width x height), its image {item.image} is {_size(image)}"
            raise InputError(f"{item.label}: {sizes}{turned}")
        return Sample(image, label, item.name)


class UnnamedValueError(InputError):
    """A label file has a value that is no class and none that is ignored."""


class IdLabels:
    """Reads label files that hold one id a pixel: 8-bit greyscale or palette images."""

    def __init__(self, train_id_of: dict[int, int], coloured: ClassSet | None = None) -> None:
        """What the ids mean.

        Args:
            train_id_of: value in the file -> train id or IGNORE, for every value that may occur.
            coloured: the classes, where their colours are known to be those of the label files: a palette must not give
                one class the colour of another.
        """
        self._table = lookup_table(train_id_of)
        self._known = np.isin(np.arange(256), list(train_id_of))
        self._coloured = coloured

    def __call__(self, path: Path) -> npt.NDArray[np.uint8]:
        """H x W uint8 train ids, upright as images are (EXIF).

        Raises:
            InputError: colours, a lossy file, ids that are not named, a palette that contradicts the ids, or as
                `bcpnet.media.images.decode`.
        """
        return decode(path, partial(self._train_ids_of, path), _why_no_ids)

    def _train_ids_of(self, path: Path, image: Image.Image) -> npt.NDArray[np.uint8]:
        values = np.asarray(image).astype(np.uint8, copy=False)
        used = np.flatnonzero(np.bincount(values.ravel(), minlength=256))
        unknown = used[~self._known[used]].tolist()
        if unknown:
            told = f"id {unknown[0]} is" if len(unknown) == 1 else f"ids {_some(unknown)} are"
            raise UnnamedValueError(f"{path}: label {told} out of range, expected {self._expected()}")
        if image.mode == "P" and self._coloured is not None:
            palette = np.array(image.getpalette("RGB") or [], np.uint8).reshape(-1, 3)
            self._check_palette(path, palette, used, self._coloured)
        return self._table[values]

    def _check_palette(
        self, path: Path, palette: npt.NDArray[np.uint8], used: npt.NDArray[np.int_], classes: ClassSet
    ) -> None:
        """Raises InputError where a used id has another class's colour: optimisers put palettes in another order."""
        for value in used[used < len(palette)]:
            train_id, colour = self._table[value], tuple(palette[value].tolist())
            if train_id != IGNORE and colour in classes.colours and colour != classes.colours[train_id]:
                other = classes.names[classes.colours.index(colour)]
                raise InputError(
                    f"{path}: id {value} is {shortened(classes.names[train_id])}, but its colour in the palette is "
                    f"{shortened(other)}'s: if the colours are right, read masks as colours (masks: colour); if the "
                    "ids are, save masks in grey"
                )

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
        """H x W uint8 train ids, upright as images are (EXIF).

        Raises:
            InputError: greyscale, colours that are not named, or as `bcpnet.media.images.decode`.
        """
        return decode(path, partial(self._train_ids_of, path), _why_no_colours)

    def _train_ids_of(self, path: Path, image: Image.Image) -> npt.NDArray[np.uint8]:
        pixels = np.asarray(image.convert("RGB"))
        packed = _pack(pixels)
        rows = np.minimum(np.searchsorted(self._keys, packed), len(self._keys) - 1)
        unknown = self._keys[rows] != packed
        if unknown.any():
            colours = np.unique(pixels[unknown], axis=0).tolist()
            told = f"colour {colours[0]} belongs" if len(colours) == 1 else f"colours {_some(colours)} belong"
            raise UnnamedValueError(f"{path}: label {told} to no class")
        return self._train_ids[rows]


def with_ignore(train_id_of: dict[int, int]) -> dict[int, int]:
    """The same table, with 255 in a file read as IGNORE unless it is named."""
    return {IGNORE: IGNORE} | train_id_of


def check_split(split: str, splits: Iterable[str], where: str) -> None:
    """Raises UsageError, naming the splits there are, unless `split` is one."""
    names = list(splits)
    if split not in names:
        some = ", ".join(map(shortened, names[:_MOST_NAMES])) + (", ..." if len(names) > _MOST_NAMES else "")
        raise UsageError(f"{where} has no split '{split}'; it has {some}")


def _why_no_ids(image: ImageFile.ImageFile) -> str | None:
    """What is wrong with the kind of picture, before it is decoded."""
    if image.mode not in ("1", "L", "P"):
        return f"label is {image.mode}, need one 8-bit id a pixel (greyscale or palette PNG)"
    if image.format in _LOSSY:
        return f"label is a {image.format}, which changes ids; need PNG"
    if image.info.get("compression") in _LOSSY_IN_TIFF:
        return "label is a TIFF with lossy compression, which changes ids; need PNG"
    if image.format == "PPM" and any(isinstance(tile[3], tuple) and tile[3] != ("L", 255) for tile in image.tile):
        return "label is a PGM whose greatest value is not 255, which decoders scale to 255; need 255 there, or PNG"
    # "L;4" and the like stand in what Pillow hands to its decoder, as it is or first of several.
    if image.mode == "L" and any(str(tile[3]).strip("('").startswith(("L;2", "L;4")) for tile in image.tile):
        return "label has 2 or 4 bits a pixel, which decoders scale to 0..255; need 8 bits (greyscale PNG)"
    return None


def _why_no_colours(image: ImageFile.ImageFile) -> str | None:
    if image.mode not in ("RGB", "RGBA", "P"):
        return f"label is {image.mode}, need the colours of the classes (RGB PNG)"
    return None


def _pack(colours: npt.NDArray[np.integer]) -> npt.NDArray[np.uint32]:
    """... x 3 colours as one number each."""
    red, green, blue = np.moveaxis(colours.astype(np.uint32), -1, 0)
    return np.asarray(red << 16 | green << 8 | blue)


def _some(values: list[Any]) -> str:
    """The first few, and how many more there are."""
    more = f" and {len(values) - _MOST_VALUES} more" if len(values) > _MOST_VALUES else ""
    return ", ".join(map(str, values[:_MOST_VALUES])) + more


def _size(array: npt.NDArray[np.uint8]) -> str:
    return f"{array.shape[1]}x{array.shape[0]}"
