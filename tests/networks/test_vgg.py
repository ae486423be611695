"""VGG-16: counts of the paper's Table 2, strides, and features that neither vanish nor explode."""

from __future__ import annotations

import pytest
import torch
from random_networks import random_images

from bcpnet.networks.encoders.vgg import VGG16
from bcpnet.networks.fold import fold
from bcpnet.networks.info import count_macs


def test_counts_are_the_papers() -> None:
    with torch.device("meta"):
        encoder = VGG16()
    # 138,357,544 with the classifier's 25088-4096-4096-1000.
    assert sum(p.numel() for p in encoder.parameters()) == 14_714_688
    assert 14_714_688 + 25_089 * 4096 + 4097 * 4096 + 4097 * 1000 == 138_357_544
    assert count_macs(encoder, (224, 224)) / 1e9 == pytest.approx(15.35, rel=0.001)


@pytest.mark.parametrize("batch_norm", [False, True])
def test_features_lie_at_their_strides(batch_norm: bool) -> None:
    with torch.device("meta"):
        encoder = VGG16(batch_norm=batch_norm)
        features = encoder(torch.empty(1, 3, 97, 131))
    for feature, channels, stride in zip(features, encoder.channels, (2, 4, 8, 16, 32), strict=True):
        assert feature.shape == (1, channels, -(-97 // stride), -(-131 // stride))


@pytest.mark.parametrize("batch_norm", [False, True])
def test_an_untrained_one_lets_the_image_through(batch_norm: bool) -> None:
    torch.manual_seed(0)
    with torch.inference_mode():
        for feature in VGG16(batch_norm=batch_norm)(random_images(1, 3, 64, 64)):
            assert 0.1 < feature.std((2, 3)).mean() < 10


def test_folds_whole() -> None:
    folded = fold(VGG16(batch_norm=True))
    assert not any("norm" in type(module).__name__.lower() for module in folded.modules())
