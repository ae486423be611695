"""COCO's run-length encoding of a class map, all classes in one pass: equal to pycocotools' to the byte.

A mask is read column by column. Its code is the lengths of the runs in turn outside and inside of it, each (from the
fourth on) less the length two before it, in digits of 5 bits: a character each. In C (native/rle.c) where that was
compiled, else in NumPy.
"""

from __future__ import annotations

from ctypes import CDLL

import numpy as np
import numpy.typing as npt

from bcpnet import native
from bcpnet.labels import IGNORE

_Bytes = npt.NDArray[np.uint8]

_MOST_CHARACTERS = 7  # of one length: 32 bits


def class_rles(class_map: _Bytes) -> dict[int, str]:
    """The mask of every class that is there, as the "counts" of a COCO RLE.

    Args:
        class_map: H x W uint8, 255 = ignore.

    Returns:
        By class, ascending; none for 255.
    """
    library = native.library()
    return _in_numpy(class_map) if library is None else _in_c(library, class_map)


def _in_c(library: CDLL, class_map: _Bytes) -> dict[int, str]:
    class_map = np.ascontiguousarray(class_map)
    height, width = class_map.shape
    columns = np.empty(width + 1, np.int32)
    count = library.bcpnet_count_runs(class_map.ctypes.data, height, width, columns.ctypes.data)
    starts, labels, runs_of = np.empty(count, np.int32), np.empty(count, np.uint8), np.empty(256, np.int32)
    library.bcpnet_find_runs(
        class_map.ctypes.data, height, width, columns.ctypes.data,
        starts.ctypes.data, labels.ctypes.data, runs_of.ctypes.data,
    )  # fmt: skip
    room = _MOST_CHARACTERS * (2 * runs_of.astype(np.int64) + 1)
    ends = np.cumsum(room)
    first = ends - room
    text = np.empty(ends[-1], np.uint8)
    ends[:] = first
    library.bcpnet_class_rles(
        starts.ctypes.data, labels.ctypes.data, count, height * width, text.ctypes.data, ends.ctypes.data
    )
    return {
        int(label): text[first[label] : ends[label]].tobytes().decode("ascii")
        for label in np.flatnonzero(runs_of[:IGNORE])
    }


def _in_numpy(class_map: _Bytes) -> dict[int, str]:
    pixels = class_map.T.reshape(-1)
    bounds = np.concatenate([[0], np.flatnonzero(pixels[1:] != pixels[:-1]) + 1, [pixels.size]])
    labels = pixels[bounds[:-1]]
    rles = {}
    for label in np.unique(labels[labels != IGNORE]).tolist():
        own = labels == label
        edges = np.stack([bounds[:-1][own], bounds[1:][own]], axis=1).reshape(-1)
        lengths = np.diff(edges, prepend=0, append=pixels.size)
        rles[label] = _text(lengths if lengths[-1] else lengths[:-1])
    return rles


def _text(lengths: npt.NDArray[np.int64]) -> str:
    values = lengths.copy()
    values[3:] -= lengths[1:-2]
    characters = []
    for value in values.tolist():
        while True:
            digit = value & 31
            value >>= 5
            is_last = value == (-1 if digit & 16 else 0)
            characters.append(chr(48 + digit + (0 if is_last else 32)))
            if is_last:
                break
    return "".join(characters)
