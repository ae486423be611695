"""Max pooling that tells where its maxima lay, and unpooling that puts values back there: SegNet and ENet need both.

The same as PyTorch's `max_pool2d` with indices and `max_unpool2d`, in operations that every runtime is fast at: the
indices of ONNX's MaxPool cost OpenVINO more time than all the rest of ENet.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def max_pool(x: Tensor) -> tuple[Tensor, Tensor]:
    """2x2 max pooling, stride 2, of any size: N C H W -> N C ceil(H/2) ceil(W/2) maxima, and where they lay.

    The latter, of the same shape, is a place in the window: 0 or 1 in its upper row, 2 or 3 in its lower; the first of
    equals, as in PyTorch.
    """
    height, width = x.shape[-2:]
    even = F.pad(x, (0, width % 2, 0, height % 2), value=float("-inf"))
    windows = F.pixel_unshuffle(even, 2)
    maxima, place = windows.reshape(*x.shape[:2], 4, *windows.shape[2:]).max(2)
    return maxima, place


def max_unpool(x: Tensor, place: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """N C h w values back to where `max_pool` found its maxima, zeros elsewhere: N C H W of the size that it pooled."""
    height, width = size_hw
    places = torch.arange(4, device=x.device)[:, None, None]
    windows = torch.where(place.unsqueeze(2) == places, x.unsqueeze(2), 0)
    return F.pixel_shuffle(windows.flatten(1, 2), 2)[..., :height, :width]
