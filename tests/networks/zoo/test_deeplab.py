"""DeepLab: counts, and the atrous spatial pyramid as one large, mostly empty kernel."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from random_networks import random_images, randomised

from bcpnet.networks.info import describe
from bcpnet.networks.zoo.deeplab import AtrousSpatialPyramid


def test_counts_are_those_of_its_text() -> None:
    info = describe("deeplab", 19, [(512, 1024)])
    assert info.parameters / 1e6 == pytest.approx(43.9, abs=0.05)
    assert info.macs["512x1024"] / 1e9 == pytest.approx(365, abs=0.5)


def test_the_pyramid_is_one_sparse_kernel() -> None:
    pyramid = randomised(AtrousSpatialPyramid(4, 3)).double()
    assert isinstance(pyramid, AtrousSpatialPyramid)
    kernel = torch.zeros(3, 4, 49, 49, dtype=torch.float64)
    bias = torch.zeros(3, dtype=torch.float64)
    for rate, classifier in zip((6, 12, 18, 24), pyramid.classifiers, strict=True):
        taps = slice(24 - rate, 24 + rate + 1, rate)
        kernel[..., taps, taps] += classifier.weight.detach()
        bias += classifier.bias.detach()
    x = random_images(2, 4, 31, 53).double()
    with torch.inference_mode():
        torch.testing.assert_close(pyramid(x), F.conv2d(x, kernel, bias, padding=24))
