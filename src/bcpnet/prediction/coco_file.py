"""A COCO file of many frames: what comes of them waits on the disk, so that memory does not grow with their number."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from bcpnet.errors import InputError
from bcpnet.labels import ClassSet
from bcpnet.regions.coco import Annotation, add_image, new_dataset
from bcpnet.storage.files import atomic_path

_START = b'{"info": {"contributor": "bcpnet"'


class CocoFile:
    """Takes images one after the other, and writes the file at the end."""

    def __init__(self, classes: ClassSet) -> None:
        """Without images. Raises InputError where there is no folder for temporary files."""
        self._dataset = new_dataset(classes)
        self._count = 0
        try:
            self._annotations = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115
        except OSError as error:
            raise InputError(f"the folder for temporary files: cannot write: {error.strerror}") from error

    def add(self, file_name: str, size_hw: tuple[int, int], annotations: Sequence[Annotation]) -> None:
        """Appends an image and its annotations. Raises InputError where the disk is full."""
        one: dict[str, Any] = {"images": self._dataset["images"], "annotations": []}
        add_image(one, file_name, size_hw, annotations)
        try:
            for annotation in one["annotations"]:
                self._annotations.write(",\n" if self._count else "\n")
                self._count += 1
                self._annotations.write(json.dumps(annotation | {"id": self._count}))
        except OSError as error:
            raise InputError(f"the folder for temporary files: cannot write: {error.strerror}") from error

    def write(self, path: Path) -> None:
        """Writes it, whole or not at all; once. Raises InputError where it cannot."""
        head, tail = (
            json.dumps({key: self._dataset[key] for key in keys})
            for keys in (("info", "licenses", "categories"), ("images",))
        )
        try:
            with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as file:
                file.write(head[:-1] + ', "annotations": [')
                self._annotations.seek(0)
                shutil.copyfileobj(self._annotations, file)
                file.write("\n], " + tail[1:] + "\n")
        finally:
            with suppress(OSError):  # of a full disk, which was said
                self._annotations.close()


def is_own_coco_file(path: Path) -> bool:
    """Whether bcpnet wrote the file, by its first entry."""
    try:
        with path.open("rb") as file:
            return file.read(len(_START)) == _START
    except OSError:
        return False
