"""Connected regions of a class map: pixels of one class that touch, also by a corner.

Rows are taken as runs of one class, and runs of neighbouring rows that touch are joined: some ten thousand of them,
not millions of pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

_Bytes = npt.NDArray[np.uint8]
_Indices = npt.NDArray[np.intp]


class Runs(NamedTuple):
    """n runs of one class in a row, row by row.

    Attributes:
        y: their rows.
        start, stop: their first columns, and those after their last.
        label: their classes.
    """

    y: _Indices
    start: _Indices
    stop: _Indices
    label: _Bytes


class Extents(NamedTuple):
    """Of each of m groups of runs: its pixels and its box.

    Attributes:
        area: numbers of pixels.
        box_xywh: m x 4: left, top, width, height.
    """

    area: _Indices
    box_xywh: _Indices


def find_runs(class_map: _Bytes, classes: Sequence[int]) -> Runs:
    """The runs of `classes` in `class_map`, H x W uint8."""
    height, width = class_map.shape
    begins = np.empty((height, width), np.bool_)
    begins[:, :1] = True
    np.not_equal(class_map[:, 1:], class_map[:, :-1], out=begins[:, 1:])
    bounds = np.append(np.flatnonzero(begins), height * width)
    label = class_map.reshape(-1)[bounds[:-1]]
    wanted = np.zeros(256, np.bool_)
    wanted[list(classes)] = True
    own = np.flatnonzero(wanted[label])
    y, start = np.divmod(bounds[own], width)
    return Runs(y, start, start + bounds[own + 1] - bounds[own], label[own])


def connect(runs: Runs) -> _Indices:
    """The region of each run, counted from 0 in the order of their first runs."""
    above, below = _touching(runs)
    root = np.arange(len(runs.y))
    while True:
        a, b = root[above], root[below]
        apart = a != b
        if not apart.any():
            return np.unique(root, return_inverse=True)[1].reshape(-1)
        above, below, a, b = above[apart], below[apart], a[apart], b[apart]
        np.minimum.at(root, np.maximum(a, b), np.minimum(a, b))
        while (root != (next_root := root[root])).any():
            root = next_root


def _touching(runs: Runs) -> tuple[_Indices, _Indices]:
    """Pairs of runs of one class that touch: one of each pair, and the one in the row below it."""
    row = int(runs.stop.max(initial=0)) + 2  # so long that no run touches one of the next row
    starts, stops, here = runs.y * row + runs.start, runs.y * row + runs.stop, (runs.y + 1) * row
    first = np.searchsorted(stops, here + runs.start)
    counts = np.searchsorted(starts, here + runs.stop, side="right") - first
    above = np.repeat(np.arange(len(counts)), counts)
    below = np.arange(len(above)) + np.repeat(first - np.cumsum(counts) + counts, counts)
    same = runs.label[above] == runs.label[below]
    return above[same], below[same]


def extents(runs: Runs, group: _Indices) -> Extents:
    """Pixels and boxes of groups of runs; `group` has the group of each run, 0 to m - 1, none empty."""
    order = np.argsort(group, kind="stable")
    first = np.searchsorted(group[order], np.arange(group.max(initial=-1) + 1))
    if not len(first):
        return Extents(np.zeros(0, np.intp), np.zeros((0, 4), np.intp))
    y, start, stop = runs.y[order], runs.start[order], runs.stop[order]
    left, top = np.minimum.reduceat(start, first), np.minimum.reduceat(y, first)
    width, height = np.maximum.reduceat(stop, first) - left, np.maximum.reduceat(y, first) + 1 - top
    return Extents(np.add.reduceat(stop - start, first), np.stack([left, top, width, height], axis=1))


def run_sums(values: _Bytes, runs: Runs) -> _Indices:
    """The sum of `values`, H x W uint8, over each run."""
    flat, width = values.reshape(-1), values.shape[1]
    bounds = np.stack([runs.y * width + runs.start, runs.y * width + runs.stop], axis=1).reshape(-1)
    if not len(bounds):
        return np.zeros(0, np.intp)
    bounds = bounds[:-1] if bounds[-1] == flat.size else bounds
    return np.add.reduceat(flat, bounds, dtype=np.intp)[::2]
