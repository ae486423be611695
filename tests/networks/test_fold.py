"""Folding, layer by layer: fewer layers, the same function."""

from __future__ import annotations

from typing import Literal

import pytest
import torch
from random_networks import random_images, randomised
from torch import Tensor, nn

from bcpnet.networks.bcpnet import BCP
from bcpnet.networks.fold import fold
from bcpnet.networks.layers import FixedSum, WeightedSum


class Holder(nn.Module):
    """A network of one part."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.part = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.part(x)
        return y


def _folded(*layers: nn.Module, channels: int = 6) -> nn.Module:
    """The folded part, after checking that it computes what the layers do."""
    network = randomised(Holder(*layers))
    folded = fold(network)
    for size in ((1, 1), (7, 5), (8, 12)):
        x = random_images(2, channels, *size)
        with torch.inference_mode():
            torch.testing.assert_close(folded(x), network(x), rtol=1e-5, atol=1e-5)
    return folded.part


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    ("out", "kernel", "stride", "groups"), [(8, 1, 1, 1), (8, 3, 2, 1), (6, 5, 1, 6), (12, 3, 2, 3), (12, 3, 1, 6)]
)
def test_conv_and_batch_norm(out: int, kernel: int, stride: int, groups: int, bias: bool) -> None:
    conv = nn.Conv2d(6, out, kernel, stride, kernel // 2, groups=groups, bias=bias)
    part = _folded(conv, nn.BatchNorm2d(out, eps=1e-3))
    assert isinstance(part, nn.Conv2d)
    assert (part.in_channels, part.out_channels, part.groups) == (6, out, groups)
    assert part.bias is not None


@pytest.mark.parametrize("biases", [(True, True), (True, False), (False, True), (False, False)])
def test_pointwise_convs_and_batch_norms(biases: tuple[bool, bool]) -> None:
    one, two = nn.Conv2d(6, 20, 1, bias=biases[0]), nn.Conv2d(20, 4, 1, bias=biases[1])
    part = _folded(one, nn.BatchNorm2d(20), two, nn.BatchNorm2d(4))
    assert isinstance(part, nn.Conv2d)
    assert part.weight.shape == (4, 6, 1, 1)
    assert (part.in_channels, part.out_channels) == (6, 4)


@pytest.mark.parametrize(
    "second",
    [
        nn.Conv2d(6, 6, 3, padding=1),  # its padding is zero, not the first conv's bias
        nn.Conv2d(6, 6, 1, stride=2),
        nn.Conv2d(6, 6, 1, groups=2),
        nn.Conv2d(6, 6, 1, padding=1),
    ],
)
def test_other_convs_stay_apart(second: nn.Conv2d) -> None:
    part = _folded(nn.Conv2d(6, 6, 1), nn.BatchNorm2d(6), second, nn.BatchNorm2d(6), nn.ReLU())
    assert isinstance(part, nn.Sequential)
    assert [type(layer) for layer in part] == [nn.Conv2d, nn.Conv2d, nn.ReLU]


def test_an_activation_keeps_layers_apart() -> None:
    part = _folded(nn.Conv2d(6, 6, 1), nn.ReLU(), nn.Conv2d(6, 6, 1), nn.ReLU(), nn.BatchNorm2d(6))
    assert isinstance(part, nn.Sequential)
    assert len(part) == 5


def test_nested_parts() -> None:
    part = _folded(nn.Sequential(nn.Conv2d(6, 6, 1), nn.BatchNorm2d(6)), nn.BatchNorm2d(6))
    assert isinstance(part, nn.Conv2d)


@pytest.mark.parametrize("finest", [2, 3])
def test_bcp_module_loses_lifts_norms_and_weights(finest: Literal[2, 3]) -> None:
    bcp = randomised(BCP((2, 4, 6, 8), (5, 7, 16), 12, "max3", finest, 6))
    features = [random_images(2, channels, 96 // s, 128 // s) for channels, s in ((2, 4), (4, 8), (6, 16), (8, 32))]
    folded = fold(bcp)
    with torch.inference_mode():
        expected, got = bcp(*features), folded(*features)
    assert (got - expected).abs().max() <= 1e-4 * expected.abs().max()
    kinds = [type(module) for module in folded.modules()]
    assert WeightedSum not in kinds
    more = finest == 2
    assert kinds.count(FixedSum) == 12 + more
    # Six laterals and twelve nodes of two convolutions are all that is left, and one of each for level 2.
    assert kinds.count(nn.Conv2d) == (6 + more) + 2 * (12 + more)
    assert not any(issubclass(kind, nn.BatchNorm2d) for kind in kinds)
    assert not any(p.requires_grad for p in folded.parameters())
    assert len(bcp.lift) == 3  # the original keeps its own
