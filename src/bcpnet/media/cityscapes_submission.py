"""Class maps as the Cityscapes benchmark server takes them."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bcpnet.errors import InputError
from bcpnet.labels import CITYSCAPES, CITYSCAPES_LABEL_IDS
from bcpnet.media.images import save_class_map

_FRAME = re.compile(r"([^_]+_\d{6}_\d{6})(_leftImg8bit)?")


def frame_of(name: str) -> str:
    """CITY_SEQUENCE_FRAME of a frame's name, with or without `_leftImg8bit`. Raises InputError for any other name."""
    frame = _FRAME.fullmatch(name)
    if frame is None:
        raise InputError(
            f"{name}: not a Cityscapes frame, whose names read CITY_123456_123456_leftImg8bit; "
            "a submission needs the frames under their own names"
        )
    return frame[1]


def submission_path(folder: Path, name: str) -> Path:
    """Where `write_cityscapes` writes the class map of a frame. Raises InputError as `frame_of`."""
    return Path(folder) / f"{frame_of(name)}_labelIds.png"


def write_cityscapes(folder: Path, name: str, class_map: npt.NDArray[np.uint8]) -> Path:
    """Writes one class map of Cityscapes' 19 classes as `folder/CITY_SEQUENCE_FRAME_labelIds.png`.

    The file holds label ids (7, 8, 11 ...), not train ids. The server finds the prediction of a frame by the
    first three parts of the name and wants exactly one such PNG anywhere under the folder: keep overlays and
    other pictures of the frames elsewhere.

    Args:
        folder: made if missing.
        name: of the frame, `CITY_SEQUENCE_FRAME` with or without `_leftImg8bit` ("ulm_000000_000019").
        class_map: H x W uint8 train ids 0..18 at the source's own size (1024 x 2048 in Cityscapes).

    Raises:
        InputError: the name is not of that form, or the file cannot be written.
        ValueError: the class map is not H x W uint8 train ids.
    """
    path = submission_path(folder, name)
    if class_map.ndim != 2 or class_map.dtype != np.uint8 or class_map.max(initial=0) >= len(CITYSCAPES):
        raise ValueError(f"{class_map.dtype} {class_map.shape}: need H x W uint8 train ids below {len(CITYSCAPES)}")
    save_class_map(path, np.array(CITYSCAPES_LABEL_IDS, np.uint8)[class_map])
    return path
