"""SegNet: published counts, every pixel's logits, and the same as with PyTorch's own unpooling."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from random_networks import random_images, randomised
from torch import Tensor

from bcpnet.networks.info import describe
from bcpnet.networks.zoo.segnet import SegNet


def test_counts_are_those_published() -> None:
    info = describe("segnet", 19, [(360, 640)])
    assert info.parameters / 1e6 == pytest.approx(29.46, rel=0.001)
    assert 2 * info.macs["360x640"] / 1e9 == pytest.approx(286, rel=0.005)


def _with_pytorchs_unpooling(network: SegNet, images: Tensor) -> Tensor:
    """SegNet as the paper's Fig. 2 draws it, step by step."""
    x = images
    poolings = []
    for stage in network.encoder.stages:
        x = stage(x)
        size = x.shape[-2:]
        x, indices = F.max_pool2d(x, 2, ceil_mode=True, return_indices=True)
        poolings.append((indices, size))
    for stage in network.decoder:
        indices, size = poolings.pop()
        x = stage(F.max_unpool2d(x, indices, 2, output_size=size))
    logits: Tensor = network.head(x)
    return logits


@pytest.mark.parametrize("size", [(32, 32), (33, 47), (64, 96)])
def test_it_is_the_same_as_with_pytorchs_unpooling(size: tuple[int, int]) -> None:
    network = randomised(SegNet(3))
    images = random_images(2, 3, *size)
    with torch.inference_mode():
        logits = network(images)
        assert logits.shape == (2, 3, *size)
        assert torch.equal(logits, _with_pytorchs_unpooling(network, images))
