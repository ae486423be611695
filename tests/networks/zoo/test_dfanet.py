"""DFANet: the published counts, who reads whom at which stride, and an attention that folds."""

from __future__ import annotations

import pytest
import torch
from random_networks import random_images, randomised
from torch import Tensor, nn

from bcpnet.networks.fold import fold
from bcpnet.networks.info import describe
from bcpnet.networks.zoo.dfanet import Backbone, FCAttention, Features, dfanet_a


# Of B the published 2.1 GMAC leave more to the decoder than ours needs: see the module.
@pytest.mark.parametrize(
    ("name", "parameters", "size", "gmacs", "tolerance"),
    [
        ("dfanet_a", 1_843_419, (1024, 1024), 3.4, 0.05),
        ("dfanet_a", 1_843_419, (512, 1024), 1.7, 0.05),
        ("dfanet_b", 1_109_499, (1024, 1024), 2.1, 0.12),
    ],
)
def test_counts(name: str, parameters: int, size: tuple[int, int], gmacs: float, tolerance: float) -> None:
    info = describe(name, 19, [size])
    assert info.parameters == parameters
    (macs,) = info.macs.values()
    assert macs / 1e9 == pytest.approx(gmacs, rel=tolerance)


def test_each_backbone_works_at_half_the_resolution_of_the_one_before() -> None:
    heights = []

    def note(_: nn.Module, __: object, features: Features) -> None:
        heights.append([each.shape[2] for each in features])

    with torch.device("meta"):
        network = dfanet_a(5)
        for backbone in (network.backbone1, network.backbone2, network.backbone3):
            backbone.register_forward_hook(note)
        logits = network(torch.empty(2, 3, 97, 131))
    assert heights == [[25, 13, 7, 7], [13, 7, 4, 4], [7, 4, 2, 2]]  # 97 at strides 4, 8, 16; 8, 16, 32; 16, 32, 64
    assert logits.shape == (2, 5, 25, 33)


def test_a_later_backbone_reads_the_middle_stages_of_the_one_before() -> None:
    widths = (8, 16, 24)
    backbone = Backbone(32, widths, aggregates=True)
    randomised(backbone)
    sizes = ((8, 8), (16, 4), (24, 2), (24, 2))  # the backbone itself has them at sides 4, 2 and 1
    previous = Features(*(random_images(1, channels, side, side).requires_grad_() for channels, side in sizes))
    backbone(random_images(1, 32, 8, 8), previous).attended.sum().backward()
    assert [each.grad is not None and bool(each.grad.any()) for each in previous] == [False, True, True, False]


def _attention() -> tuple[FCAttention, Tensor]:
    attention = FCAttention(24)
    randomised(attention)
    return attention, random_images(2, 24, 5, 7) + 2


def test_attention_scales_each_channel_by_one_number() -> None:
    attention, x = _attention()
    factors = (attention(x) / x).flatten(2)
    torch.testing.assert_close(factors, factors.mean(2, keepdim=True).expand_as(factors))
    assert ((factors > 0) & (factors < 1)).all()


def test_attention_folds_into_one_small_layer() -> None:
    attention, x = _attention()
    folded = fold(attention)
    assert sum(p.numel() for p in folded.parameters()) == 24 * 24 + 24
    torch.testing.assert_close(folded(x), attention(x), rtol=1e-4, atol=1e-4)
