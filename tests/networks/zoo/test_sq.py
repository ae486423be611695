"""SQ: SqueezeNet's count, logits of every pixel, where its dilations reach and what its doublings begin as."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from bcpnet.networks.info import describe
from bcpnet.networks.zoo.sq import SQ, ParallelDilated, Refinement


def test_counts_are_squeezenets_and_the_docstrings() -> None:
    info = describe("sq", 19, [(1024, 2048)])
    # Widely known count of SqueezeNet v1.1, less its 1x1 convolution from 512 channels to 1000 classes.
    assert info.parts["stem"] + info.parts["stages"] == 1_235_496 - 513_000
    assert info.parameters == 1_245_448
    assert info.macs["1024x2048"] / 1e9 == pytest.approx(155.1, abs=0.05)


@pytest.mark.parametrize("size", [(32, 32), (33, 47), (97, 131)])
def test_every_pixel_has_logits(size: tuple[int, int]) -> None:
    with torch.device("meta"):
        assert SQ(5)(torch.empty(2, 3, *size)).shape == (2, 5, *size)


def test_dilations_reach_one_two_four_and_eight() -> None:
    torch.manual_seed(0)
    features = torch.randn(1, 6, 21, 21, requires_grad=True)
    ParallelDilated(6, 4)(features)[0, :, 10, 10].sum().backward()
    assert features.grad is not None
    reached = {(y - 10, x - 10) for y, x in features.grad[0].abs().sum(0).nonzero().tolist()}
    assert reached == {(d * dy, d * dx) for d in (1, 2, 4, 8) for dy in (-1, 0, 1) for dx in (-1, 0, 1)}


def test_class_maps_are_doubled_bilinearly_at_first() -> None:
    maps = torch.randn(2, 5, 7, 9)
    with torch.inference_mode():
        doubled = Refinement(5, 16).double_size(maps)
    bilinear = F.interpolate(maps, scale_factor=2.0, mode="bilinear", align_corners=False)
    assert doubled.shape == bilinear.shape
    # At the border a transposed convolution sees zeros outside, interpolation the border's value.
    torch.testing.assert_close(doubled[..., 1:-1, 1:-1], bilinear[..., 1:-1, 1:-1])


def test_the_image_survives_untrained_layers() -> None:
    torch.manual_seed(0)
    network = SQ(5)
    with torch.inference_mode():
        x = network.stem(torch.rand(2, 3, 64, 96) * 2 - 1)
        for stage in network.stages:
            x = stage(x)
    assert (x[0] - x[1]).std() > 0.2 * x.std()
