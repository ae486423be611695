"""What is drawn of one frame, and what is written of it in files of its own."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bcpnet.drawing import pictures as draw
from bcpnet.errors import InputError
from bcpnet.media.cityscapes_submission import submission_path, write_cityscapes
from bcpnet.media.images import save_class_map, save_image
from bcpnet.media.sources import Frame
from bcpnet.prediction.outputs import Kind, Outputs
from bcpnet.segmentation import Segmentation

Pictures = dict[Kind, npt.NDArray[np.uint8]]


def draw_pictures(outputs: Outputs, kinds: Collection[Kind], segmentation: Segmentation) -> Pictures:
    """H x W x 3 uint8 RGB by kind, of those of `kinds` that are pictures."""
    class_map, classes = segmentation.class_map, segmentation.classes
    pictures: Pictures = {}
    if "overlay" in kinds:
        colours = draw.palette_colours(outputs.palette, classes.names, classes.colours)
        pictures["overlay"] = draw.overlay_with_contours(
            segmentation.image, class_map, classes.names, colours, outputs.opacity, outputs.legend
        )
    if "colour" in kinds:
        pictures["colour"] = draw.colour_map(class_map, classes.palette())
    return pictures


def write_files(
    outputs: Outputs, frame: Frame, segmentation: Segmentation, pictures: Pictures, checked: Callable[[Path], Path]
) -> tuple[list[Path], list[InputError]]:
    """Writes what is one file a frame: the files, and why some could not be written.

    `checked` passes a path on, or raises InputError where nothing may be written there.
    """
    class_map, classes = segmentation.class_map, segmentation.classes
    kinds = outputs.kinds_of(frame.item)
    writes: dict[Path, Callable[[Path], object]] = {}
    if not frame.item.is_video:
        for kind, picture in pictures.items():
            writes[outputs.path(kind, frame.stem, False)] = partial(save_image, image=picture)
    if "classmap" in kinds:
        target = outputs.path("classmap", frame.stem, False)
        writes[target] = partial(save_class_map, class_map=class_map, palette=classes.palette())
    if "ids" in kinds:
        writes[outputs.path("ids", frame.stem, False)] = partial(save_class_map, class_map=class_map)
    if "confidence" in kinds:
        writes[outputs.path("confidence", frame.stem, False)] = partial(save_image, image=segmentation.confidence)
    if outputs.cityscapes:
        target = submission_path(outputs.folder, frame.stem)
        writes[target] = lambda _: write_cityscapes(outputs.folder, frame.stem, class_map)
    files, errors = [], []
    for target, write in writes.items():
        try:
            write(checked(target))
            files.append(target)
        except InputError as error:
            errors.append(error)
    return files, errors
