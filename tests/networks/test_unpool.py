"""Unpooling against PyTorch's own, ties and odd sizes included."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from bcpnet.networks.unpool import max_pool, max_unpool

every_size = pytest.mark.parametrize("size", [(1, 1), (2, 2), (3, 8), (8, 5), (33, 47), (64, 96)])


def _features(size: tuple[int, int]) -> Tensor:
    """Whole numbers, as many of them negative: most windows hold a maximum twice, some only negatives."""
    return torch.randint(-3, 3, (2, 5, *size), generator=torch.Generator().manual_seed(0)).float()


def _roundtrip(x: Tensor) -> Tensor:
    pooled, place = max_pool(x)
    return max_unpool(pooled.sin(), place, (x.shape[-2], x.shape[-1]))


def _pytorch(x: Tensor) -> Tensor:
    pooled, indices = F.max_pool2d(x, 2, ceil_mode=True, return_indices=True)
    return F.max_unpool2d(pooled.sin(), indices, 2, output_size=x.shape[-2:])


@every_size
def test_it_is_pytorchs(size: tuple[int, int]) -> None:
    x = _features(size)
    for each in (x, x.to(memory_format=torch.channels_last)):
        assert torch.equal(max_pool(each)[0], F.max_pool2d(x, 2, ceil_mode=True))
        assert torch.equal(_roundtrip(each), _pytorch(x))


@every_size
def test_gradients_are_pytorchs(size: tuple[int, int]) -> None:
    gradients = []
    for function in (_roundtrip, _pytorch):
        x = _features(size).requires_grad_()
        (function(x) * torch.arange(x.numel()).view_as(x)).sum().backward()
        assert x.grad is not None
        gradients.append(x.grad)
    assert torch.equal(*gradients)
    assert gradients[0].any()
