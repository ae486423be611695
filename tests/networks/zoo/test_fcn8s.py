"""FCN-8s: the paper's count, and the upsamplings that start as bilinear interpolation."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from random_networks import random_images

from bcpnet.networks.info import describe
from bcpnet.networks.zoo.fcn8s import FCN8s, _doubling


def test_parameters_are_the_papers() -> None:
    info = describe("fcn8s", 21, [(512, 1024)])
    assert info.parameters / 1e6 == pytest.approx(134, rel=0.005)  # Table 1, for the 21 classes of PASCAL VOC
    # VGG-16 whole, its last layer in 21 classes instead of 1000, then scores of 512 and 256 channels, two 4x4 kernels.
    assert info.parameters == 138_357_544 - 4097 * (1000 - 21) + (513 + 257) * 21 + 2 * 4 * 4 * 21 * 21


@pytest.mark.parametrize("size", [(32, 32), (97, 131)])
def test_logits_lie_at_stride_8(size: tuple[int, int]) -> None:
    with torch.device("meta"):
        logits = FCN8s(3)(torch.empty(1, 3, *size))
    assert logits.shape == (1, 3, -(-size[0] // 8), -(-size[1] // 8))


def test_doubling_starts_as_bilinear_interpolation() -> None:
    scores = random_images(2, 4, 5, 7)
    with torch.inference_mode():
        doubled = _doubling(4)(scores)
    expected = F.interpolate(scores, scale_factor=2, mode="bilinear", align_corners=False)
    # Apart from the rim, where zeros lie around a transposed convolution.
    torch.testing.assert_close(doubled[..., 1:-1, 1:-1], expected[..., 1:-1, 1:-1])
