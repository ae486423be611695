"""How far a class reaches upwards from the bottom of the image, column by column."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def free_space(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.intp]:
    """The number of pixels of `mask` (H x W) in a row from the bottom upwards, of each of the W columns."""
    reach = np.zeros(mask.shape[1], np.intp)
    goes_on = np.ones(mask.shape[1], np.bool_)
    for row in mask[::-1]:
        goes_on &= row
        if not goes_on.any():
            break
        reach += goes_on
    return reach
