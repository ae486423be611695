"""The outline of a mask along the edges of its pixels, and those of its holes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_Ring = npt.NDArray[np.intp]  # N x 2 corners, x and y; the last is joined to the first


def rings(mask: npt.NDArray[np.bool_]) -> list[_Ring]:
    """The outline of a region, and those of its holes.

    Every corner of the outlines ends one level edge and one upright edge. In a row of corners the first and the second
    end the same level edge, and so do the third and the fourth ...; upright edges are found in the columns, as well.

    Args:
        mask: H x W bool, whose pixels all touch, if only by a corner.

    Returns:
        Rings of pixel corners, so that pixel (x, y) lies between x and x + 1, y and y + 1: first the outline, then the
        holes. On a screen the outline runs clockwise, and holes the other way round.
    """
    padded = np.pad(mask, 1)
    top_left, top_right, bottom_left, bottom_right = (
        padded[:-1, :-1], padded[:-1, 1:], padded[1:, :-1], padded[1:, 1:],
    )  # fmt: skip
    turns = top_left ^ top_right ^ bottom_left ^ bottom_right
    # Where two pixels touch by a corner, the outline comes by twice.
    twice = (top_left == bottom_right) & (top_right == bottom_left) & (top_left != top_right)
    y, x = np.nonzero(turns | twice)
    is_twice = twice[y, x]
    visit = np.repeat(np.arange(len(y)), 1 + is_twice)
    is_second = np.diff(visit, prepend=-1) == 0
    # There the first visit has the edge to the left; it has the one upwards, too, unless pixels lie left above and
    # right below: these shall be joined.
    is_lower = is_second ^ (is_twice & top_left[y, x])[visit]
    y, x = y[visit], x[visit]
    in_columns = np.lexsort((is_lower, y, x))
    upright = np.empty(len(visit), np.intp)
    upright[in_columns[::2]], upright[in_columns[1::2]] = in_columns[1::2], in_columns[::2]
    return [np.stack([x[ring], y[ring]], axis=1)[:: 1 if i == 0 else -1] for i, ring in enumerate(_walk(upright))]


def _walk(upright: npt.NDArray[np.intp]) -> list[list[int]]:
    """The corners of each ring. Level edges join 0 and 1, 2 and 3 ...; `upright` has each one's other partner."""
    partner, seen, found = upright.tolist(), bytearray(len(upright)), []
    for start in range(0, len(partner), 2):
        if seen[start]:
            continue
        ring, at = [], start
        while not seen[at]:
            seen[at] = seen[at ^ 1] = 1
            ring += [at, at ^ 1]
            at = partner[at ^ 1]
        found.append(ring)
    return found


def joined(outline: _Ring, holes: list[_Ring]) -> _Ring:
    """One ring for a region and its holes: from the outline a cut leads to each hole, and the same way back.

    Filled by the even-odd rule, as COCO's tools do, it is the region.
    """
    for hole in holes:
        at = int(np.square(outline - hole[0]).sum(axis=1).argmin())
        outline = np.concatenate([outline[: at + 1], hole, hole[:1], outline[at:]])
    return outline
