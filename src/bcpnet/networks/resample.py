"""Feature maps at another size: bilinear, and averages over a fixed number of bins."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def resize_to(x: Tensor, like: Tensor) -> Tensor:
    """N C h w -> N C H W, bilinear with half-pixel centres, to the H and W of `like`."""
    return F.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=False)


def adaptive_average_pool(x: Tensor, bins: int) -> Tensor:
    """N C H W -> N C bins bins: `F.adaptive_avg_pool2d` as matrix products, which export with H and W free."""
    rows, columns = (_averages(side, bins, x) for side in x.shape[-2:])
    return rows @ x @ columns.mT


def _averages(size: int, bins: int, like: Tensor) -> Tensor:
    """bins size: row i averages the pixels that share a stretch with bin i, where both divide the same length."""
    pixel = torch.arange(size, device=like.device)
    row = torch.arange(bins, device=like.device)[:, None]
    # Pixel p covers p/size to (p+1)/size and row i covers i/bins to (i+1)/bins; multiplied out, all is in integers.
    inside = (pixel * bins < (row + 1) * size) & (row * size < (pixel + 1) * bins)
    weights = inside.to(like.dtype)
    return weights / weights.sum(1, keepdim=True)
