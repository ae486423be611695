"""EDANet: the published counts, and its modules against their plain formulations."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from random_networks import random_images, randomised
from torch import Tensor, nn

from bcpnet.networks.fold import fold
from bcpnet.networks.info import describe
from bcpnet.networks.layers import BatchNorm2d
from bcpnet.networks.zoo.edanet import DownsamplingBlock, EDAModule, EDANet


def test_counts_are_the_papers() -> None:
    info = describe("edanet", 19, [(512, 1024)])
    assert info.parameters == 686_698
    assert info.parameters == pytest.approx(0.68e6, rel=0.02)
    assert info.macs["512x1024"] == pytest.approx(8.97e9, rel=0.02)


@pytest.mark.parametrize("size", [(32, 64), (97, 131), (100, 35)])
def test_logits_lie_at_stride_8(size: tuple[int, int]) -> None:
    with torch.device("meta"):
        logits = EDANet(5)(torch.empty(2, 3, *size))
    assert logits.shape == (2, 5, -(-size[0] // 8), -(-size[1] // 8))


def _batch_norm(x: Tensor, norms: list[BatchNorm2d], training: bool) -> Tensor:
    """The batch norms' channels side by side as one batch norm."""
    weight, bias = (torch.cat([getattr(norm, name) for norm in norms]) for name in ("weight", "bias"))
    mean, var = (torch.cat([getattr(norm, name) for norm in norms]) for name in ("running_mean", "running_var"))
    return F.batch_norm(x, mean, var, weight, bias, training)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("size", [(6, 8), (7, 9)])
def test_downsampling_block_is_one_batch_norm_behind_both_branches(training: bool, size: tuple[int, int]) -> None:
    block = DownsamplingBlock(3, 15)
    randomised(block)
    x = random_images(2, 3, *size)
    conv, norm = block.conv
    _, pool_norm = block.pool
    assert isinstance(norm, BatchNorm2d)
    assert isinstance(pool_norm, BatchNorm2d)
    # An odd edge is pooled with nothing beside it.
    padded = F.pad(x, (0, size[1] % 2, 0, size[0] % 2), value=-torch.inf)
    both = torch.cat([conv(x), padded.unfold(2, 2, 2).unfold(3, 2, 2).amax((4, 5))], 1)
    expected = _batch_norm(both, [norm, pool_norm], training).relu()
    torch.testing.assert_close(block.train(training)(x), expected)


def test_downsampling_block_folds_whole() -> None:
    block = DownsamplingBlock(3, 15)
    randomised(block)
    folded = fold(block)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    x = random_images(2, 3, 7, 9)
    torch.testing.assert_close(folded(x), block(x))


@pytest.mark.parametrize("dilation", [1, 4])
def test_module_is_three_convolutions_beside_its_input(dilation: int) -> None:
    module = EDAModule(60, dilation)
    randomised(module)
    x = random_images(2, 60, 11, 14)
    point, *pairs, _ = module.branch
    expected = point(x)
    for (vertical, horizontal, norm, _), reach in zip(pairs, (1, dilation), strict=True):
        kernel = torch.einsum("omk,mil->oilk", horizontal.weight[:, :, 0], vertical.weight[..., 0])
        expected = norm(F.conv2d(expected, kernel, padding=reach, dilation=reach)).relu()
    torch.testing.assert_close(module(x), torch.cat([expected, x], 1), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("block", "reach"), [("block4", 5 + 7), ("block8", 8 + 60)])
def test_context_reaches_as_far_as_the_dilations_add_up_to(block: str, reach: int) -> None:
    modules = getattr(EDANet(2), block).eval()
    with torch.no_grad():
        for parameter in modules.parameters():
            parameter.abs_()  # so that no ReLU hides a path
    x = torch.ones(1, modules[0].branch[0][0].in_channels, 1, 2 * reach + 5, requires_grad=True)
    modules(x)[..., reach + 2].sum().backward()
    assert x.grad is not None
    seen = x.grad.abs().sum((0, 1, 2)).nonzero().flatten()
    assert (seen.min(), seen.max()) == (2, 2 * reach + 2)
