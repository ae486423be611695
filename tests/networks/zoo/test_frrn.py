"""FRRN: the paper's counts, logits of every pixel, and a residual stream that units only add to."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from random_networks import random_network
from torch import Tensor, nn

from bcpnet.networks.info import describe
from bcpnet.networks.zoo.frrn import FRRN, FullResolutionResidualUnit, frrn_a, frrn_b


@pytest.mark.parametrize(("name", "millions", "gmacs"), [("frrn_a", 17.7, 492.4), ("frrn_b", 24.8, 496.2)])
def test_counts_are_the_papers_and_the_docstrings(name: str, millions: float, gmacs: float) -> None:
    info = describe(name, 19, [(512, 1024)])
    assert info.parameters / 1e6 == pytest.approx(millions, abs=0.05)
    assert info.macs["512x1024"] / 1e9 == pytest.approx(gmacs, abs=0.05)


@pytest.mark.parametrize("network", [frrn_a, frrn_b])
@pytest.mark.parametrize("size", [(32, 32), (33, 47), (97, 131)])
def test_every_pixel_has_logits(network: Callable[[int], FRRN], size: tuple[int, int]) -> None:
    with torch.device("meta"):
        assert network(5)(torch.empty(2, 3, *size)).shape == (2, 5, *size)


@pytest.mark.parametrize("stride", [2, 4, 16])
def test_a_unit_sees_cells_by_their_maximum_and_adds_to_them_alike(stride: int) -> None:
    torch.manual_seed(0)
    height, width = 35, 50
    unit = FullResolutionResidualUnit(8, 12, stride).eval()
    residual = torch.randn(2, 32, height, width)
    # Filled up to whole cells with what no maximum is.
    whole = F.pad(residual, (0, -width % stride, 0, -height % stride), value=-torch.inf)
    cells = whole.unflatten(3, (-1, stride)).unflatten(2, (-1, stride))
    maxima = cells.amax((3, 5))
    pooling = torch.randn(2, 8, *maxima.shape[2:])
    with torch.inference_mode():
        features, after = unit(pooling, residual)
        expected = unit.convs(torch.cat([pooling, maxima], 1))
        added = unit.residual(expected).repeat_interleave(stride, 2).repeat_interleave(stride, 3)
    torch.testing.assert_close(features, expected)
    torch.testing.assert_close(after, residual + added[..., :height, :width])


def test_units_that_find_nothing_leave_the_residual_stream_alone() -> None:
    network = random_network("frrn_b", 5)
    assert isinstance(network, FRRN)
    units = [module for module in network.modules() if isinstance(module, FullResolutionResidualUnit)]
    assert len(units) == 3 + 4 + 2 + 2 + 2 + 2 + 2 + 2 + 2
    for unit in units:
        nn.init.zeros_(unit.residual.weight)
        assert unit.residual.bias is not None
        nn.init.zeros_(unit.residual.bias)
    seen: dict[str, Tensor] = {}
    network.split.register_forward_hook(lambda _, __, output: seen.update(split=output))
    network.merge.register_forward_hook(lambda _, inputs, __: seen.update(merged=inputs[0]))
    with torch.inference_mode():
        network(torch.rand(1, 3, 33, 47))
    assert torch.equal(seen["merged"][:, -32:], seen["split"])
