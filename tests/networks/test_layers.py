"""The pieces of networks, against their formulas."""

from __future__ import annotations

import pytest
import torch
from random_networks import random_images, randomised
from torch import nn

from bcpnet.networks.layers import BatchNorm2d, FixedSum, SqueezeExcite, WeightedSum, conv_bn, upsample_to


@pytest.mark.parametrize(
    ("weights", "factors"),
    [
        ([1.0, 1.0], [0.5, 0.5]),
        ([3.0, 1.0], [0.75, 0.25]),
        ([2.0, -5.0, 2.0], [0.5, 0.0, 0.5]),
        ([-1.0, 0.0], [0.0, 0.0]),
    ],
)
def test_weighted_sum_is_positive_and_normalised(weights: list[float], factors: list[float]) -> None:
    layer = WeightedSum(len(weights))
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(weights))
    features = [random_images(2, 3, 4, 5, seed=seed) for seed in range(len(weights))]
    expected = sum(factor * feature for factor, feature in zip(factors, features, strict=True))
    torch.testing.assert_close(layer(*features), expected, rtol=0, atol=1e-4)  # the formula's own 1e-4
    assert layer.factors().sum() < 1
    torch.testing.assert_close(layer.folded()(*features), layer(*features), rtol=0, atol=1e-6)


def test_weighted_sum_starts_as_the_mean_and_learns() -> None:
    layer = WeightedSum(2)
    a, b = random_images(1, 1, 2, 2), random_images(1, 1, 2, 2, seed=1)
    torch.testing.assert_close(layer(a, b), (a + b) / 2, rtol=0, atol=1e-4)
    layer(a, b).square().sum().backward()
    assert layer.weight.grad is not None
    assert layer.weight.grad.abs().min() > 0


def test_fixed_sum_wants_one_feature_per_factor() -> None:
    with pytest.raises(ValueError, match="zip"):
        FixedSum([0.5, 0.5])(torch.zeros(1), torch.zeros(1), torch.zeros(1))


@pytest.mark.parametrize("size_hw", [(1, 1), (2, 3), (7, 8), (8, 7), (13, 17)])
def test_upsampling_returns_to_the_pixel_that_was_pooled(size_hw: tuple[int, int]) -> None:
    like = torch.zeros(1, 2, *size_hw)
    deeper = random_images(2, 3, (size_hw[0] + 1) // 2, (size_hw[1] + 1) // 2)
    up = upsample_to(deeper, like)
    assert up.shape == (2, 3, *size_hw)
    rows, columns = torch.arange(size_hw[0]) // 2, torch.arange(size_hw[1]) // 2
    assert torch.equal(up, deeper[:, :, rows][:, :, :, columns])


def test_batch_norm_of_many_values_is_pytorchs() -> None:
    ours, theirs = BatchNorm2d(3), nn.BatchNorm2d(3)
    x = random_images(2, 3, 1, 1)
    assert torch.equal(ours.train()(x), theirs.train()(x))
    assert torch.equal(ours.eval()(x), theirs.eval()(x))
    assert all(torch.equal(value, theirs.state_dict()[key]) for key, value in ours.state_dict().items())


def test_batch_norm_of_one_value_uses_and_keeps_its_statistics() -> None:
    norm = randomised(BatchNorm2d(3))
    x = random_images(1, 3, 1, 1).requires_grad_()
    before = {key: value.clone() for key, value in norm.state_dict().items()}
    expected = norm.eval()(x).detach()
    trained = norm.train()(x)
    assert torch.equal(trained, expected)
    assert all(torch.equal(before[key], value) for key, value in norm.state_dict().items())
    trained.sum().backward()
    assert all(p.grad is not None for p in norm.parameters())
    with pytest.raises(ValueError, match="more than 1 value"):
        nn.BatchNorm2d(3).train()(x)  # what it stands in for


def test_squeeze_excite_scales_each_channel_by_its_gate() -> None:
    layer = randomised(SqueezeExcite(8, 2))
    x = random_images(2, 8, 5, 7)
    y = layer(x)
    gate = layer.gate(x.mean((2, 3), keepdim=True))
    assert ((gate >= 0) & (gate <= 1)).all()
    torch.testing.assert_close(y, x * gate)
    # Only means enter the gate: shuffled pixels give shuffled results.
    order = torch.randperm(35, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(layer(x.flatten(2)[..., order].view_as(x)), y.flatten(2)[..., order].view_as(x))


def test_conv_bn_rounds_sizes_up_and_has_no_bias() -> None:
    for kernel in (1, 3, 5):
        layer = conv_bn(4, 6, kernel, stride=2, groups=2, act=nn.ReLU)
        assert layer(random_images(2, 4, 7, 9)).shape == (2, 6, 4, 5)
        assert isinstance(layer[0], nn.Conv2d)
        assert layer[0].bias is None
        assert [type(module) for module in layer] == [nn.Conv2d, BatchNorm2d, nn.ReLU]
