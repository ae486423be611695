"""Which files a dataset is made of, and whether they are there."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from bcpnet.errors import InputError

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")


class Item(NamedTuple):
    """Where one sample lies; `label` is None where the split has no labels."""

    name: str
    image: Path
    label: Path | None

    @property
    def files(self) -> list[Path]:
        """The image, and the label file where there is one."""
        return [self.image] if self.label is None else [self.image, self.label]


def find_files(root: Path, pattern: str) -> list[Path]:
    """The files below `root` that match the glob `pattern`, sorted; folders and hidden files are left out.

    Hidden is what begins with a dot, or lies in such a folder (`._a.png` of macOS, `.ipynb_checkpoints`), or in
    `__MACOSX`, unless the pattern spells it. A link to nowhere, and a folder on the way that cannot be looked into, are
    found too, so that `check_files` can tell of them.
    """
    parts = Path(pattern).parts
    found = [path for path in root.glob(pattern) if not path.is_dir()]
    for depth in range(1, len(parts)):
        if parts[depth - 1] != "**":  # which does not follow links
            found += [path for path in root.glob("/".join(parts[:depth])) if _is_shut(path)]
    return sorted(path for path in found if not any(map(_is_hidden, {*path.relative_to(root).parts} - {*parts})))


def _is_shut(path: Path) -> bool:
    """Whether what should be a folder leads to nowhere, or may not be looked into."""
    return not path.exists() or (path.is_dir() and not os.access(path, os.R_OK | os.X_OK))


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def images_in(folder: Path) -> dict[str, Path]:
    """Stem -> path of the images in one folder, sorted by stem. Raises InputError where there are none."""
    found = by_stem(path for path in find_files(folder, "*") if path.suffix.lower() in IMAGE_SUFFIXES)
    if not found:
        raise InputError(f"{folder}: no images ({' '.join(IMAGE_SUFFIXES)})")
    return found


def by_stem(paths: Iterable[Path]) -> dict[str, Path]:
    """Stem -> path, sorted. Raises InputError where two have one stem."""
    found: dict[str, Path] = {}
    for path in sorted(set(paths)):
        if path.stem in found:
            raise InputError(f"{path}: same name as {found[path.stem]}; names must be unique in a split")
        found[path.stem] = path
    return dict(sorted(found.items()))


def check_files(items: Sequence[Item]) -> None:
    """Raises InputError, naming the first and counting all, where images or label files are not there."""
    images = [why for item in items if (why := why_no_file(item.image, "image"))]
    if images:
        do = "mount or copy what it should be, or remove it"
        raise InputError(f"{images[0]}: {do}{_others(len(images), len(items), 'images')}")
    labels = [
        (item, why) for item in items if item.label is not None and (why := why_no_file(item.label, "label file"))
    ]
    if labels:
        item, why = labels[0]
        raise InputError(f"{why}, for image {item.image}{_others(len(labels), len(items), 'label files')}")


def why_no_file(path: Path, what: str = "file") -> str | None:
    """One line that names `path` where there is no file; None where there is one. `what` it should be."""
    if os.path.isfile(path):  # noqa: PTH113 (which raises for some names, as of 300 letters)
        return None
    if os.path.islink(path):  # noqa: PTH114
        return f"{path}: a link to nowhere ({os.readlink(path)})"  # noqa: PTH115
    if os.path.isdir(path):  # noqa: PTH112
        return f"{path}: a folder that cannot be looked into"
    return f"{path}: {'not a regular file' if os.path.exists(path) else f'no such {what}'}"  # noqa: PTH110


def _others(bad: int, total: int, what: str) -> str:
    return "" if bad == 1 else f"; so it is with {bad} of {total} {what}"
