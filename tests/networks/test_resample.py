"""Resampling: equal to PyTorch's own at any size."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from random_networks import random_images

from bcpnet.networks.resample import adaptive_average_pool, resize_to


# Sizes that the bins divide, that they do not, and smaller than the number of bins.
@pytest.mark.parametrize("size", [(12, 18), (7, 13), (89, 5), (4, 6), (1, 1)])
@pytest.mark.parametrize("bins", [1, 2, 3, 6])
def test_pooling_is_adaptive_average_pooling(bins: int, size: tuple[int, int]) -> None:
    x = random_images(2, 3, *size).double()
    torch.testing.assert_close(adaptive_average_pool(x, bins), F.adaptive_avg_pool2d(x, bins))


def test_resizing_keeps_a_ramp() -> None:
    ramp = torch.arange(8.0).expand(1, 1, 8, 8)
    wide = resize_to(ramp, torch.empty(1, 5, 3, 16))
    assert wide.shape == (1, 1, 3, 16)
    # Half-pixel centres: output pixel j lies at (j + 0.5) / 2 - 0.5, held at the border.
    expected = ((torch.arange(16) + 0.5) / 2 - 0.5).clamp(0, 7)
    torch.testing.assert_close(wide[0, 0], expected.expand(3, 16))
