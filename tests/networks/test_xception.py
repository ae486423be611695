"""Xception-39: the paper's counts, strides, and folding."""

from __future__ import annotations

import pytest
import torch
from random_networks import random_images
from torch import nn

from bcpnet.networks.encoders.xception import Xception39, XceptionBlock
from bcpnet.networks.fold import fold
from bcpnet.networks.info import count_macs


def test_counts_are_the_papers() -> None:
    with torch.device("meta"):
        encoder = Xception39()
    parameters = sum(p.numel() for p in encoder.parameters())
    classifier = 256 * 19 + 19
    assert round(4 * (parameters + classifier) / 2**20, 1) == 1.2
    assert count_macs(encoder, (360, 640)) / 1e6 == pytest.approx(185.5, rel=0.01)


def test_features_lie_at_their_strides() -> None:
    with torch.device("meta"):
        encoder = Xception39()
        features = encoder(torch.empty(1, 3, 97, 131))
    for feature, channels, stride in zip(features, encoder.channels, (8, 16, 32), strict=True):
        assert feature.shape == (1, channels, -(-97 // stride), -(-131 // stride))


def test_a_block_without_its_branch_is_its_input() -> None:
    block = XceptionBlock(64, 64, 1).eval()
    last = block.branch[-1]
    assert isinstance(last, nn.Sequential)
    nn.init.zeros_(last[-1].weight)
    x = random_images(1, 64, 5, 7)
    with torch.inference_mode():
        assert torch.equal(block(x), x.relu())


def test_folds_whole() -> None:
    folded = fold(Xception39())
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
