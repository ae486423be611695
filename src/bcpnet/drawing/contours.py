"""Lines where one class ends and another begins."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_LINE = np.array((24, 26, 30), np.uint8)
_TWO_PIXELS_FROM = 720  # rows; a line of one would be lost when so high a picture is shown smaller


def draw_contours(picture: npt.NDArray[np.uint8], class_map: npt.NDArray[np.uint8]) -> None:
    """Draws, into `picture` itself, a thin dark line along every border between two classes.

    It is one pixel wide, two in pictures of 720 rows and more.

    Args:
        picture: H x W x 3 uint8, contiguous.
        class_map: H x W uint8.
    """
    height, width = class_map.shape
    pixels = picture.reshape(-1, 3)
    rows = np.flatnonzero(class_map[1:] != class_map[:-1])  # the pixel below is another class
    y, x = np.divmod(np.flatnonzero(class_map[:, 1:] != class_map[:, :-1]), max(1, width - 1))
    columns = y * width + x  # the one to the right is
    pixels[rows] = pixels[columns] = _LINE
    if height >= _TWO_PIXELS_FROM:
        pixels[rows + width] = pixels[columns + 1] = _LINE
