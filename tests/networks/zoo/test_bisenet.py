"""BiSeNet: published counts, its two attentions, and heads that only training sees."""

from __future__ import annotations

import pytest
import torch
from random_networks import random_images, random_network, randomised

from bcpnet.networks import build
from bcpnet.networks.fold import fold
from bcpnet.networks.info import count_macs
from bcpnet.networks.zoo.bisenet import AttentionRefinement, FeatureFusion


# The published parameters are the size of the weights in MiB; the published GFLOPs are multiply-adds.
@pytest.mark.parametrize(("name", "mib", "gmacs"), [("bisenet1", 5.8, 14.8), ("bisenet2", 49.0, 55.3)])
def test_counts_are_near_the_published_ones(name: str, mib: float, gmacs: float) -> None:
    with torch.device("meta"):
        network = build(name, 19)
    parameters = sum(p.numel() for key, p in network.named_parameters() if not key.startswith("auxiliary"))
    assert 4 * parameters / 2**20 == pytest.approx(mib, rel=0.02)
    assert count_macs(network, (768, 1536)) / 1e9 == pytest.approx(gmacs, rel=0.06)


def test_attention_refinement_scales_whole_channels_down() -> None:
    module = randomised(AttentionRefinement(8, 6))
    assert isinstance(module, AttentionRefinement)
    x = random_images(2, 8, 9, 11)
    with torch.inference_mode():
        before, after = module.conv(x), module(x)
    scale = after.sum((2, 3), keepdim=True) / before.sum((2, 3), keepdim=True)
    assert ((scale > 0) & (scale < 1)).all()
    torch.testing.assert_close(after, before * scale)


def test_feature_fusion_scales_whole_channels_up() -> None:
    module = randomised(FeatureFusion(8))
    assert isinstance(module, FeatureFusion)
    spatial, context = random_images(2, 4, 9, 11), random_images(2, 4, 9, 11, seed=1)
    with torch.inference_mode():
        before, after = module.mix(torch.cat([spatial, context], 1)), module(spatial, context)
    scale = after.sum((2, 3), keepdim=True) / before.sum((2, 3), keepdim=True)
    assert ((scale > 1) & (scale < 2)).all()
    torch.testing.assert_close(after, before * scale)


def test_auxiliary_logits_are_extra() -> None:
    network = random_network("bisenet1", 5)
    images = random_images(1, 3, 97, 131)
    with torch.inference_mode():
        logits, auxiliary = network.forward_with_auxiliary(images)
        assert torch.equal(logits, network(images))
    assert [tuple(a.shape) for a in (logits, *auxiliary)] == [(1, 5, 13, 17), (1, 5, 7, 9), (1, 5, 13, 17)]
    assert not any("auxiliary" in key for key in fold(network).state_dict())
