"""Exact bilinear upsampling + argmax that never builds full-size logits.

Four neighbouring low-resolution logits span a cell, and every output pixel in it is a convex combination of
the four with the same weights for every class. Two exact consequences:

- where the four corners share their argmax, so does every pixel of the cell: nothing to interpolate;
- elsewhere, a class that another class matches or beats at all four corners cannot win inside. Held against
  the classes that win at a corner, mostly just two are left, and only those are interpolated.

In C (native/upsample.inc) where that was compiled, else in NumPy.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bcpnet import native

_Indices = npt.NDArray[np.intp]
_Floats = npt.NDArray[np.float32]

# Values (classes or pixels x cells) worked on at a time: they stay in the second-level cache.
_CHUNK = 65536


def upsample_argmax(logits: npt.NDArray[np.float32], size_hw: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """The class of every pixel: bilinear interpolation of the logits, then the argmax over classes.

    The same as `torch.nn.functional.interpolate(mode="bilinear", align_corners=False)` and `argmax(0)`, but
    for pixels whose two best classes tie within float32 rounding (1e-5 of the largest logit). Any scale, up or
    down (no antialiasing, as there).

    Args:
        logits: K x h x w float32, 1 <= K <= 255, finite. Where they are not, pixels near them get some class.
            Contiguous or not: classes may lie last in memory (h x w x K, transposed).
        size_hw: output height and width, in pixels.

    Returns:
        H x W uint8 class indices.

    Raises:
        ValueError: `logits` is not K x h x w with 1..255 classes, or a side is zero.
    """
    if logits.ndim != 3 or not 1 <= logits.shape[0] <= 255 or 0 in logits.shape or min(size_hw) < 1:
        raise ValueError(
            f"logits of shape {logits.shape} to size {tuple(size_hw)}: "
            "need K x h x w with 1 to 255 classes, no side zero"
        )
    kernels = native.kernels()
    return _in_numpy(logits, size_hw) if kernels is None else _in_c(kernels, logits, size_hw)


def _in_c(kernels: int, logits: _Floats, size_hw: tuple[int, int]) -> npt.NDArray[np.uint8]:
    library = native.library()
    assert library is not None  # the kernels are its
    logits = np.require(logits, np.float32, "A")  # any strides will do
    class_map = np.empty(size_hw, np.uint8)
    strides = [stride // logits.itemsize for stride in logits.strides]
    if not library.bcpnet_upsample_argmax(
        kernels, logits.ctypes.data, *logits.shape, *strides, class_map.ctypes.data, *class_map.shape
    ):
        raise MemoryError("upsampling logits")
    return class_map


def _in_numpy(logits: _Floats, size_hw: tuple[int, int]) -> npt.NDArray[np.uint8]:
    n_classes, height, width = logits.shape
    logits = np.ascontiguousarray(logits, np.float32)
    labels = _argmax(logits)
    if size_hw == (height, width):
        return labels
    rows, columns = _cells(height, size_hw[0]), _cells(width, size_hw[1])

    top, bottom = labels[rows.low], labels[rows.high]
    corner_labels = [side[:, x] for side in (top, bottom) for x in (columns.low, columns.high)]
    class_map = corner_labels[0].take(columns.of_pixel, axis=1).take(rows.of_pixel, axis=0)

    disagree = np.zeros(corner_labels[0].shape, np.bool_)
    for other in corner_labels[1:]:
        disagree |= other != corner_labels[0]
    cell_y, cell_x = np.nonzero(disagree)
    step = max(1, _CHUNK // max(n_classes, len(columns.pixel)))
    for start in range(0, len(cell_y), step):
        chunk = slice(start, start + step)
        _interpolate(logits, labels, rows, columns, cell_y[chunk], cell_x[chunk], class_map)
    return class_map


class _Cells(NamedTuple):
    """The cells along one axis that hold output pixels, n of them, and their pixels.

    Attributes:
        low, high: n indices of the corners on either side; equal beyond the outermost centres.
        pixel: P x n output pixels of each cell; cells with fewer than P repeat their last one.
        weight: P x n, the share of `high` at each of these pixels.
        of_pixel: the cell of each output pixel.
    """

    low: _Indices
    high: _Indices
    pixel: _Indices
    weight: _Floats
    of_pixel: _Indices


def _cells(n_in: int, n_out: int) -> _Cells:
    """Half-pixel centres (align_corners=False): output pixel p lies at (p + 1/2) n_in / n_out - 1/2."""
    position = (np.arange(n_out) + 0.5) * (n_in / n_out) - 0.5
    floor = np.floor(position)
    cell, start, of_pixel, count = np.unique(
        floor.astype(np.intp), return_index=True, return_inverse=True, return_counts=True
    )
    pixel = start + np.minimum(np.arange(count.max())[:, None], count - 1)
    weight = (position - floor).astype(np.float32)[pixel]
    return _Cells(np.maximum(cell, 0), np.minimum(cell + 1, n_in - 1), pixel, weight, of_pixel)


def _argmax(logits: _Floats) -> npt.NDArray[np.uint8]:
    """`logits.argmax(0)` as uint8, class by class: quicker than NumPy's, which walks across the classes."""
    best = logits[0].copy()
    labels = np.zeros(best.shape, np.uint8)
    for index in range(1, len(logits)):
        ahead = (logits[index] > best).view(np.uint8)
        labels += (np.uint8(index) - labels) * ahead
        np.maximum(best, logits[index], out=best)
    return labels


def _interpolate(
    logits: _Floats,
    labels: npt.NDArray[np.uint8],
    rows: _Cells,
    columns: _Cells,
    cell_y: _Indices,
    cell_x: _Indices,
    class_map: npt.NDArray[np.uint8],
) -> None:
    """Writes the pixels of the n cells (cell_y, cell_x) into `class_map`."""
    n_classes, _, width = logits.shape
    corners = [y[cell_y] * width + x[cell_x] for y in rows[:2] for x in columns[:2]]  # 4 x n
    by_pixel = logits.reshape(n_classes, -1)
    values = [by_pixel.take(corner, axis=1) for corner in corners]  # 4 x (K x n)

    # What may win inside: a class that is above each winner at one corner or another, and the winners.
    n = len(cell_y)
    possible = np.ones((n_classes, n), np.bool_)
    winners = [labels.reshape(-1).take(corner).astype(np.intp) for corner in corners]
    for winner in winners:
        above = np.zeros_like(possible)
        for value, corner in zip(values, corners, strict=True):
            above |= value > by_pixel[winner, corner]
        possible &= above
    for winner in winners:
        possible[winner, np.arange(n)] = True

    # Cells with the most candidates first: those that have an s-th candidate are then the first n_s.
    counts = np.count_nonzero(possible, axis=0)
    order = np.argsort(-counts, kind="stable")
    counts, cell_y, cell_x = counts[order], cell_y[order], cell_x[order]
    candidates = np.nonzero(possible.T[order])[1]  # of each cell in turn, ascending
    offsets = np.cumsum(counts) - counts
    first = candidates[offsets]
    leads = []  # (class, how far it is above the first candidate at each corner)
    for s in range(1, int(counts[0])):
        n_s = int(np.count_nonzero(counts > s))
        candidate, cell = candidates[offsets[:n_s] + s], order[:n_s]
        ahead_by = [value[candidate, cell] - value[first[:n_s], cell] for value in values]
        leads.append((candidate.astype(np.uint8), ahead_by))

    first_label = first.astype(np.uint8)
    weight_x, pixel_x = columns.weight[:, cell_x], columns.pixel[:, cell_x]
    flat = class_map.reshape(-1)
    for pixel_y, weight_y in zip(rows.pixel, rows.weight, strict=True):
        y, t = pixel_y[cell_y], weight_y[cell_y]
        winner_here = np.broadcast_to(first_label, weight_x.shape).copy()
        best = np.zeros(weight_x.shape, np.float32)
        for candidate, (top_left, top_right, bottom_left, bottom_right) in leads:
            n_s = len(candidate)
            left = top_left + (bottom_left - top_left) * t[:n_s]
            right = top_right + (bottom_right - top_right) * t[:n_s]
            lead = left + (right - left) * weight_x[:, :n_s]
            ahead = (lead > best[:, :n_s]).view(np.uint8)
            winner_here[:, :n_s] += (candidate - winner_here[:, :n_s]) * ahead
            np.maximum(best[:, :n_s], lead, out=best[:, :n_s])
        flat[y * class_map.shape[1] + pixel_x] = winner_here
