"""BCPNet has the paper's size and the switches of its Table 5."""

from __future__ import annotations

import pytest
import torch
from random_networks import random_images, random_network

from bcpnet.errors import UsageError
from bcpnet.networks import build
from bcpnet.networks.bcpnet import BCPNet
from bcpnet.networks.encoders import ENCODERS
from bcpnet.networks.info import count_macs, describe

# Giga multiply-adds of the convolutions at the paper's six sizes, as issue 2 and the authors' release count them.
GIGA_MACS = {
    (360, 640): 0.368,
    (713, 713): 0.817,
    (512, 1024): 0.819,
    (768, 1536): 1.842,
    (1024, 1024): 1.637,
    (1024, 2048): 3.275,
}


def test_parameters_of_the_paper() -> None:
    info = describe("bcpnet", 19, [])
    assert info.parameters == 607_826
    assert info.parts["encoder"] == 431_180
    assert sum(info.parts.values()) == info.parameters


def test_macs_of_the_paper() -> None:
    info = describe("bcpnet", 19, list(GIGA_MACS))
    counted = {size: round(info.macs[f"{size[0]}x{size[1]}"] / 1e9, 3) for size in GIGA_MACS}
    assert counted == GIGA_MACS


def test_macs_equal_a_count_by_hand() -> None:
    with torch.device("meta"):
        conv = torch.nn.Conv2d(3, 8, 3, stride=2, padding=1, groups=1)
    assert count_macs(conv, (33, 47)) == 17 * 24 * 8 * 3 * 9


@pytest.mark.parametrize("encoder", ENCODERS)
def test_only_the_classifier_depends_on_the_classes(encoder: str) -> None:
    few, many = (describe("bcpnet", classes, [], encoder=encoder) for classes in (2, 150))
    assert few.parts["encoder"] == many.parts["encoder"]
    assert many.parameters - few.parameters == 148 * (64 + 1)


def test_without_bcp_it_is_encoder_and_classifier() -> None:
    info = describe("bcpnet", 19, [], bcp=False)
    assert info.parameters == 431_180 + 19 * (96 + 1)
    logits = random_network("bcpnet", 19, bcp=False)(random_images(1, 3, 97, 131))
    assert logits.shape == (1, 19, 4, 5)  # stride 32, rounded up


@pytest.mark.parametrize("encoder", ["mobilenet_v3_small", "mobilenet_v2_050"])
def test_level_two_costs_less_than_the_paper_has(encoder: str) -> None:
    """4.50 G is what the paper prints for its own network at this size."""
    info = describe("bcpnet", 19, [(1024, 2048)], encoder=encoder, finest=2)
    assert info.parameters <= 610_000
    assert info.macs["1024x2048"] <= 4.5e9
    logits = random_network("bcpnet", 19, encoder=encoder, finest=2)(random_images(1, 3, 97, 131))
    assert logits.shape == (1, 19, 25, 33)  # stride 4, rounded up


def test_poolings_have_the_same_weights_and_sizes_and_differ() -> None:
    images = random_images(1, 3, 97, 131)
    network = random_network("bcpnet", 5)
    logits = {}
    for pooling in ("max3", "avg3", "max5"):
        other = build("bcpnet", 5, pooling=pooling).eval()
        other.load_state_dict(network.state_dict())
        with torch.inference_mode():
            logits[pooling] = other(images)
        assert logits[pooling].shape == (1, 5, 13, 17)
    for one, two in (("max3", "avg3"), ("avg3", "max5"), ("max3", "max5")):
        assert (logits[one] - logits[two]).abs().max() > 1e-3


@pytest.mark.parametrize("size_hw", [(1, 1), (1, 2), (2, 3), (3, 4), (5, 7), (8, 9)])
def test_poolings_halve_and_round_up(size_hw: tuple[int, int]) -> None:
    x = random_images(1, 4, *size_hw)
    for pooling in ("max3", "avg3", "max5"):
        bcp = BCPNet(2, pooling=pooling).bcp
        assert bcp is not None
        pooled = bcp.context_pooling(x)
        assert pooled.shape[2:] == ((size_hw[0] + 1) // 2, (size_hw[1] + 1) // 2)
        # Padding is no pixel: neither the maximum nor the average of a constant changes at the border.
        torch.testing.assert_close(bcp.context_pooling(torch.full_like(x, -3)), torch.full_like(pooled, -3))


def test_context_reaches_every_pixel() -> None:
    """A change in one corner moves the logits in the opposite one: the module's two-way paths span the image."""
    network = random_network("bcpnet", 3, encoder="mobilenet_v2_050")  # without squeeze-excite, global by itself
    images = random_images(1, 3, 512, 512).requires_grad_()
    network(images)[0, 0, -1, -1].backward()
    assert images.grad is not None
    assert images.grad[0, :, :32, :32].abs().max() > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"encoder": "resnet"}, "unknown encoder 'resnet': choose one of mobilenet_v3_small, "),
        ({"pooling": "min3"}, "unknown context pooling 'min3': choose max3, avg3 or max5"),
        ({"finest": 4}, "finest level 4: choose 2 or 3"),
        ({"depth": 3}, "network bcpnet: .*depth"),
        ({"width": -1}, "width -1, finest width 32: need at least 1"),
        ({"finest_width": 0}, "width 64, finest width 0: need at least 1"),
    ],
)
def test_wrong_options(options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        build("bcpnet", 19, **options)


def test_unknown_network() -> None:
    with pytest.raises(UsageError, match="unknown network 'bcp': choose one of bcpnet"):
        build("bcp", 19)
