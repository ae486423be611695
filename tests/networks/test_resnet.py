"""ResNet: counts of the paper's Table 1, and dilation that loses nothing."""

from __future__ import annotations

import pytest
import torch

from bcpnet.errors import UsageError
from bcpnet.networks.encoders.resnet import ResNet
from bcpnet.networks.fold import fold
from bcpnet.networks.info import count_macs


# Widely known counts of the classifiers, less the last layer's 1000 classes. GMACs at 224x224: He et al., Table 1.
@pytest.mark.parametrize(
    ("depth", "parameters", "gmacs"),
    [
        (18, 11_689_512 - 513_000, 1.8),
        (50, 25_557_032 - 2_049_000, 3.8),
        (101, 44_549_160 - 2_049_000, 7.6),
    ],
)
def test_counts_are_the_papers(depth: int, parameters: int, gmacs: float) -> None:
    with torch.device("meta"):
        encoder = ResNet(depth)
    assert sum(p.numel() for p in encoder.parameters()) == parameters
    assert count_macs(encoder, (224, 224)) / 1e9 == pytest.approx(gmacs, rel=0.02)


@pytest.mark.parametrize("depth", [18, 50])
@pytest.mark.parametrize("output_stride", [4, 8, 16, 32])
def test_features_lie_at_their_strides(depth: int, output_stride: int) -> None:
    with torch.device("meta"):
        encoder = ResNet(depth, output_stride=output_stride)
        features = encoder(torch.empty(1, 3, 97, 131))
    for feature, channels, stride in zip(features, encoder.channels, (4, 8, 16, 32), strict=True):
        stride = min(stride, output_stride)
        assert feature.shape == (1, channels, -(-97 // stride), -(-131 // stride))


@pytest.mark.parametrize("depth", [18, 50])
@pytest.mark.parametrize("output_stride", [4, 8, 16])
def test_dilated_features_hold_the_strided_ones(depth: int, output_stride: int) -> None:
    torch.manual_seed(0)
    strided = ResNet(depth).eval()
    dilated = ResNet(depth, output_stride=output_stride).eval()
    dilated.load_state_dict(strided.state_dict())
    images = torch.randn(1, 3, 97, 131)
    with torch.inference_mode():
        for coarse, fine, stride in zip(strided(images), dilated(images), (4, 8, 16, 32), strict=True):
            step = stride // min(stride, output_stride)
            torch.testing.assert_close(fine[..., ::step, ::step], coarse, rtol=1e-4, atol=1e-4)


def test_folds_whole() -> None:
    folded = fold(ResNet(18))
    assert not any("norm" in type(module).__name__.lower() for module in folded.modules())


@pytest.mark.parametrize("options", [{"depth": 34}, {"depth": 50, "output_stride": 2}])
def test_unknown_kinds_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(UsageError, match="choose"):
        ResNet(**options)
