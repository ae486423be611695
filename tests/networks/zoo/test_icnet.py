"""ICNet: published counts, half of PSPNet-50, its pieces in other words, and heads that only training sees."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from random_networks import random_images, random_network
from torch import nn

from bcpnet.networks import build
from bcpnet.networks.encoders.resnet import ResidualBlock, ResNet
from bcpnet.networks.fold import fold
from bcpnet.networks.info import count_macs
from bcpnet.networks.zoo.icnet import ICNet, PyramidSum


def test_counts_are_near_the_published_ones() -> None:
    with torch.device("meta"):
        network = build("icnet", 19)
    parameters = sum(p.numel() for key, p in network.named_parameters() if not key.startswith("auxiliary"))
    assert 4 * parameters / 1e6 == pytest.approx(26.5, rel=0.015)  # published: the size of the weights in MB
    assert count_macs(network, (1024, 2048)) / 1e9 == pytest.approx(28.3, rel=0.03)


def _convolutions(module: nn.Module) -> list[nn.Conv2d]:
    return [layer for layer in module.modules() if isinstance(layer, nn.Conv2d)]


def test_branches_are_half_of_a_dilated_resnet_50() -> None:
    with torch.device("meta"):
        network, whole = ICNet(19), ResNet(50, output_stride=8)
    assert len(_convolutions(network.middle)) == 17  # as the paper counts
    blocks = nn.ModuleList(b for b in [*network.middle, *network.low] if isinstance(b, ResidualBlock))
    half = [(2 * c.out_channels, c.kernel_size, c.stride, c.dilation) for c in _convolutions(blocks)]
    assert half == [(c.out_channels, c.kernel_size, c.stride, c.dilation) for c in _convolutions(whole.stages)]


def test_strides_of_the_branches_are_the_papers() -> None:
    with torch.device("meta"):
        network = ICNet(19)
        seen = {}
        for name in ("middle", "low", "high8", "fusion16", "fusion8"):
            branch = network.get_submodule(name)
            branch.register_forward_hook(lambda _module, _inputs, out, name=name: seen.update({name: out.shape[-2:]}))
        network(torch.empty(1, 3, 97, 131))
    for name, stride in {"middle": 16, "low": 32, "high8": 8, "fusion16": 16, "fusion8": 8}.items():
        assert seen[name] == (-(-97 // stride), -(-131 // stride))


def test_images_are_halved_bilinearly() -> None:
    network = ICNet(5).eval()
    read = []
    network.middle.register_forward_hook(lambda _module, inputs, _out: read.append(inputs[0]))
    images = random_images(1, 3, 64, 96)
    with torch.inference_mode():
        network(images)
    torch.testing.assert_close(read[0], F.interpolate(images, scale_factor=0.5, mode="bilinear"))


@pytest.mark.parametrize("size", [(6, 12), (13, 17), (2, 3)])
def test_pyramid_is_that_of_adaptive_pooling(size: tuple[int, int]) -> None:
    x = random_images(2, 16, *size).double()
    pooled = [F.interpolate(F.adaptive_avg_pool2d(x, bins), size, mode="bilinear") for bins in (1, 2, 3, 6)]
    torch.testing.assert_close(PyramidSum()(x), x + pooled[0] + pooled[1] + pooled[2] + pooled[3])


def test_auxiliary_logits_are_extra() -> None:
    network = random_network("icnet", 5)
    images = random_images(1, 3, 97, 131)
    with torch.inference_mode():
        logits, auxiliary = network.forward_with_auxiliary(images)
        assert torch.equal(logits, network(images))
    assert [tuple(a.shape) for a in (logits, *auxiliary)] == [(1, 5, 25, 33), (1, 5, 7, 9), (1, 5, 13, 17)]
    assert not any("auxiliary" in key for key in fold(network).state_dict())
