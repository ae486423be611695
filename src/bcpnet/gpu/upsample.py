"""`frames.upsample.upsample_argmax` on a GPU: low-resolution logits in, uint8 class map out, nothing in between."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

_BLOCK = 32  # with a single warp: a thread has one run


def upsample_argmax(logits: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """The class of every pixel: bilinear interpolation (align_corners=False), then argmax; the first of equals wins.

    Args:
        logits: N x K x h x w without gaps, float32 or float16, 1 <= K <= 255, finite. Interpolated in float32.
        size_hw: height and width of the class maps, in pixels.

    Returns:
        N x H x W uint8 class indices, on the device of `logits`.
    """
    count, n_classes, height, width = logits.shape
    class_map = torch.empty((count, *size_hw), dtype=torch.uint8, device=logits.device)
    # Neighbours that span at most one logit's width, so that three columns of logits serve them all.
    run = next((run for run in (8, 4, 2) if size_hw[1] >= run * width), 1)
    runs = triton.cdiv(size_hw[1], run) * size_hw[0]
    grid = (triton.cdiv(runs, _BLOCK), count)
    _upsample_kernel[grid](
        logits.contiguous(), class_map, height, width, *size_hw, K=n_classes, RUN=run, BLOCK=_BLOCK, num_warps=1
    )
    return class_map


@triton.jit(do_not_specialize=("height", "width", "out_height"))
def _upsample_kernel(
    logits, class_map, height, width, out_height, out_width, K: tl.constexpr, RUN: tl.constexpr, BLOCK: tl.constexpr
):
    """One program: BLOCK runs of RUN pixels side by side; a thread has whole runs, so that it loads a logit once.

    Output pixel p lies at ((2p + 1) n_in - n_out) / 2 n_out: computed in whole numbers, its fraction is exact.
    """
    image = tl.program_id(1).to(tl.int64)
    index = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    runs = (out_width + RUN - 1) // RUN
    y, first = index // runs, index % runs * RUN
    inside = y < out_height

    # Shifted by one logit, for division rounds towards zero and the first pixels lie before the first centre.
    y_at = (2 * y + 1) * height + out_height
    top = y_at // (2 * out_height) - 1
    down = (y_at % (2 * out_height)).to(tl.float32) / (2.0 * out_height)
    x_at = (2 * first + 1) * width + out_width
    left = x_at // (2 * out_width) - 1
    # In units of 1 / (2 out_width): how far right of column `left`, and in which of the two cells.
    j = tl.arange(0, RUN)[:, None]
    right = (x_at % (2 * out_width))[None, :] + j * (2 * width)
    second = right >= 2 * out_width
    share = (right - tl.where(second, 2 * out_width, 0)).to(tl.float32) / (2.0 * out_width)
    share_0 = tl.where(second, 0.0, 1.0 - share)
    share_1 = tl.where(second, 1.0 - share, share)
    share_2 = tl.where(second, share, 0.0)

    row_0 = tl.maximum(top, 0) * width
    row_1 = tl.minimum(top + 1, height - 1) * width
    column_0 = tl.maximum(left, 0)
    column_1 = tl.minimum(left + 1, width - 1)
    column_2 = tl.minimum(left + 2, width - 1)
    best = tl.full((RUN, BLOCK), float("-inf"), tl.float32)
    label = tl.zeros((RUN, BLOCK), tl.int32)
    plane = logits + image * K * height * width
    for k in tl.range(0, K, loop_unroll_factor=4):
        upper_0 = tl.load(plane + row_0 + column_0, mask=inside, other=0.0).to(tl.float32)
        upper_1 = tl.load(plane + row_0 + column_1, mask=inside, other=0.0).to(tl.float32)
        lower_0 = tl.load(plane + row_1 + column_0, mask=inside, other=0.0).to(tl.float32)
        lower_1 = tl.load(plane + row_1 + column_1, mask=inside, other=0.0).to(tl.float32)
        value = share_0 * (upper_0 + (lower_0 - upper_0) * down)[None, :]
        value += share_1 * (upper_1 + (lower_1 - upper_1) * down)[None, :]
        if RUN > 1:
            upper_2 = tl.load(plane + row_0 + column_2, mask=inside, other=0.0).to(tl.float32)
            lower_2 = tl.load(plane + row_1 + column_2, mask=inside, other=0.0).to(tl.float32)
            value += share_2 * (upper_2 + (lower_2 - upper_2) * down)[None, :]
        ahead = value > best
        label = tl.where(ahead, k, label)
        best = tl.where(ahead, value, best)
        plane += height * width
    x = first[None, :] + j
    address = class_map + (image * out_height + y)[None, :] * out_width + x
    tl.store(address, label.to(tl.uint8), mask=inside[None, :] & (x < out_width))
