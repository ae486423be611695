"""PSPNet: published parameters, the pyramid beside PyTorch's own pooling, and a head that only training sees."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from random_networks import random_images, randomised

from bcpnet.networks import build
from bcpnet.networks.fold import fold
from bcpnet.networks.info import count_macs
from bcpnet.networks.zoo.pspnet import PyramidPooling


def test_counts_are_those_of_its_text() -> None:
    with torch.device("meta"):
        network = build("pspnet", 19)
    parameters = sum(p.numel() for key, p in network.named_parameters() if not key.startswith("auxiliary"))
    assert 4 * parameters / 2**20 == pytest.approx(250.8, rel=0.005)  # published: the size of the weights in MiB
    assert count_macs(network, (713, 713)) / 1e9 == pytest.approx(503, abs=0.5)


@pytest.mark.parametrize("size", [(6, 12), (13, 17), (4, 5)])
def test_pyramid_is_that_of_adaptive_pooling(size: tuple[int, int]) -> None:
    pyramid = randomised(PyramidPooling(16)).double()
    assert isinstance(pyramid, PyramidPooling)
    x = random_images(2, 16, *size).double()
    with torch.inference_mode():
        features, *regions = pyramid(x).split([16, 4, 4, 4, 4], 1)
        assert torch.equal(features, x)
        for region, branch, bins in zip(regions, pyramid.branches, (1, 2, 3, 6), strict=True):
            pooled = branch(F.adaptive_avg_pool2d(x, bins))
            torch.testing.assert_close(region, F.interpolate(pooled, size, mode="bilinear", align_corners=False))


def test_auxiliary_logits_are_extra() -> None:
    network = build("pspnet", 5).eval()
    images = random_images(1, 3, 33, 47)
    with torch.inference_mode():
        logits, auxiliary = network.forward_with_auxiliary(images)
        assert torch.equal(logits, network(images))
    assert [tuple(a.shape) for a in (logits, *auxiliary)] == [(1, 5, 5, 6), (1, 5, 5, 6)]
    assert not any("auxiliary" in key for key in fold(network).state_dict())
