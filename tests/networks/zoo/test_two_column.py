"""The two-column network: its counts, and that the half-resolution column decides where the other one counts."""

from __future__ import annotations

import pytest
import torch
from random_networks import random_images
from torch import nn

from bcpnet.networks.info import describe
from bcpnet.networks.zoo.two_column import TwoColumn


def test_counts() -> None:
    info = describe("two_column", 19, [(512, 1024)])
    assert info.parameters == 22_598_311
    assert info.macs["512x1024"] / 1e9 == pytest.approx(57.2, rel=0.02)


def test_logits_lie_at_stride_16() -> None:
    with torch.device("meta"):
        logits = TwoColumn(5)(torch.empty(2, 3, 97, 131))
    assert logits.shape == (2, 5, 7, 9)


class _Column(nn.Module):
    """In place of a ResNet: its features are given."""

    def __init__(self, features: torch.Tensor) -> None:
        super().__init__()
        self.features = features

    def forward(self, _: torch.Tensor) -> tuple[torch.Tensor]:
        return (self.features,)


@pytest.mark.parametrize("columns", [1, 3])
def test_where_the_weight_is_zero_full_resolution_changes_nothing(columns: int) -> None:
    """The half-resolution features are zero behind the first `columns` columns of 4, and zeros get no weight."""
    network = TwoColumn(5).eval()
    half = torch.zeros(1, 512, 3, 4)
    half[..., :columns] = random_images(1, 512, 3, columns).abs()
    full = random_images(1, 512, 3, 4).requires_grad_()
    network.half_column, network.full_column = _Column(half), _Column(full)
    with torch.no_grad():
        network.weight.weight.fill_(0.1)
        assert network.weight.bias is not None
        network.weight.bias.fill_(-3)
    logits = network(torch.empty(1, 3, 48, 64))
    logits.square().sum().backward()
    assert full.grad is not None
    assert full.grad.abs().sum((0, 1, 2)).ne(0).tolist() == [True] * columns + [False] * (4 - columns)
    torch.testing.assert_close(logits[..., columns:], network.half_head(half)[..., columns:])
