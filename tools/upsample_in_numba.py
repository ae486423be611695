"""`upsample_argmax` in Numba, to compare with; imported by measure_post.py where Numba is installed."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from bcpnet.frames.upsample import _cells


def upsample_argmax(logits: np.ndarray, size_hw: tuple[int, int]) -> np.ndarray:
    """As `bcpnet.frames.upsample.upsample_argmax`."""
    class_map = np.empty(size_hw, np.uint8)
    axes: list[Any] = []
    for n_in, n_out in zip(logits.shape[1:], size_hw, strict=True):
        cells = _cells(n_in, n_out)
        share = np.empty(n_out, np.float32)
        share[cells.pixel] = cells.weight
        starts = np.append(cells.pixel[0], n_out)
        axes += [cells.low, cells.high, starts, share]
    _upsample(logits, *axes, class_map)
    return class_map


@njit(nogil=True)
def _upsample(logits, low_y, high_y, start_y, share_y, low_x, high_x, start_x, share_x, class_map):
    n_classes, height, width = logits.shape
    labels = np.zeros((height, width), np.uint8)
    best_logit = np.empty(width, np.float32)
    for y in range(height):
        best_logit[:] = logits[0, y]
        for k in range(1, n_classes):
            for x in range(width):
                ahead = logits[k, y, x] > best_logit[x]
                labels[y, x] = np.uint8(k) if ahead else labels[y, x]
                best_logit[x] = logits[k, y, x] if ahead else best_logit[x]

    corner = np.empty((4, n_classes), np.float32)
    winners = np.empty(4, np.int64)
    rivals = np.empty(n_classes, np.int64)
    best = np.empty(class_map.shape[1], np.float32)
    for r in range(len(low_y)):
        top, bottom, from_y, to_y = low_y[r], high_y[r], start_y[r], start_y[r + 1]
        for c in range(len(low_x)):
            left, right, from_x, to_x = low_x[c], high_x[c], start_x[c], start_x[c + 1]
            first = labels[top, left]
            class_map[from_y:to_y, from_x:to_x] = first
            if first == labels[top, right] and first == labels[bottom, left] and first == labels[bottom, right]:
                continue
            for k in range(n_classes):
                corner[0, k], corner[1, k] = logits[k, top, left], logits[k, top, right]
                corner[2, k], corner[3, k] = logits[k, bottom, left], logits[k, bottom, right]
            winners[0], winners[1] = labels[top, left], labels[top, right]
            winners[2], winners[3] = labels[bottom, left], labels[bottom, right]
            count = 0
            for k in range(n_classes):
                possible = True
                for w in range(4):
                    above = winners[w] == k
                    for i in range(4):
                        above |= corner[i, k] > corner[i, winners[w]]
                    possible &= above
                won = winners[0] == k or winners[1] == k or winners[2] == k or winners[3] == k
                if possible or won:
                    rivals[count] = k
                    count += 1
            for y in range(from_y, to_y):
                class_map[y, from_x:to_x] = rivals[0]
                best[from_x:to_x] = 0
                for i in range(1, count):
                    k, base = rivals[i], rivals[0]
                    above_left, above_right = corner[0, k] - corner[0, base], corner[1, k] - corner[1, base]
                    at = above_left + (corner[2, k] - corner[2, base] - above_left) * share_y[y]
                    step = above_right + (corner[3, k] - corner[3, base] - above_right) * share_y[y] - at
                    for x in range(from_x, to_x):
                        lead = at + step * share_x[x]
                        ahead = lead > best[x]
                        class_map[y, x] = np.uint8(k) if ahead else class_map[y, x]
                        best[x] = lead if ahead else best[x]
