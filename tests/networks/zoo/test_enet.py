"""ENet: published counts, the sizes of its Table 1, and unpooling that meets the pooling it undoes."""

from __future__ import annotations

import pytest
import torch
from random_networks import random_images, randomised
from torch import Tensor, nn

from bcpnet.networks.fold import fold
from bcpnet.networks.info import describe
from bcpnet.networks.zoo.enet import Downsampling, ENet, InitialBlock, Upsampling


def test_counts_are_those_published() -> None:
    info = describe("enet", 19, [(360, 640)])
    assert info.parameters / 1e6 == pytest.approx(0.37, rel=0.02)
    # The whole published 3.83 G, less what the module's docstring leaves unexplained.
    assert 2 * info.macs["360x640"] / 1e9 == pytest.approx(3.83, rel=0.11)


# Rows of Table 1 at 512x512: name in our network, output.
TABLE_1 = [
    ("initial", (16, 256, 256)),
    ("down1", (64, 128, 128)),
    ("section1", (64, 128, 128)),
    ("down2", (128, 64, 64)),
    ("section2", (128, 64, 64)),
    ("section3", (128, 64, 64)),
    ("up4", (64, 128, 128)),
    ("section4", (64, 128, 128)),
    ("up5", (16, 256, 256)),
    ("section5", (16, 256, 256)),
    ("head", (12, 512, 512)),
]


def test_sizes_are_those_of_table_1() -> None:
    with torch.device("meta"):
        network = ENet(12)
    seen: list[tuple[str, tuple[int, ...]]] = []

    def note(name: str) -> None:
        def hook(_: nn.Module, __: object, output: Tensor | tuple[Tensor, Tensor]) -> None:
            features = output if isinstance(output, Tensor) else output[0]
            seen.append((name, tuple(features.shape[1:])))

        network.get_submodule(name).register_forward_hook(hook)

    for name, _ in TABLE_1:
        note(name)
    network(torch.empty(1, 3, 512, 512, device="meta"))
    assert seen == TABLE_1


@pytest.mark.parametrize("size", [(32, 32), (33, 47), (97, 131)])
def test_every_pixel_has_logits(size: tuple[int, int]) -> None:
    with torch.device("meta"):
        assert ENet(3)(torch.empty(2, 3, *size)).shape == (2, 3, *size)


@pytest.mark.parametrize("size", [(8, 8), (9, 7)])
def test_up_puts_values_where_down_found_its_maxima(size: tuple[int, int]) -> None:
    down, up = Downsampling(6, 12, 0.0), Upsampling(12, 6, 0.0)
    nn.init.zeros_(up.expand[1].weight)  # the branch adds nothing
    features = random_images(1, 6, *size)
    with torch.inference_mode():
        small, place = down.eval()(features)
        assert small.shape[-2:] == (-(-size[0] // 2), -(-size[1] // 2))
        large = up.eval()(small, place, size)
    assert large.shape == features.shape
    for channel, feature in zip(large[0], features[0], strict=True):
        ys, xs = channel.nonzero(as_tuple=True)
        assert len(ys) == small.shape[-2] * small.shape[-1]
        for y, x in zip(ys.tolist(), xs.tolist(), strict=True):
            top, left = y - y % 2, x - x % 2
            assert feature[y, x] == feature[top : top + 2, left : left + 2].max()


@pytest.mark.parametrize("block", [InitialBlock(), Upsampling(8, 4, 0.1)])
def test_blocks_that_fold_themselves_compute_the_same(block: nn.Module) -> None:
    block = randomised(block)
    features = random_images(2, 3, 9, 7) if isinstance(block, InitialBlock) else random_images(2, 8, 5, 4)
    further = () if isinstance(block, InitialBlock) else (torch.randint(0, 4, (2, 4, 5, 4)), (9, 7))
    folded = fold(block)
    assert not [module for module in folded.modules() if isinstance(module, nn.BatchNorm2d)]
    with torch.inference_mode():
        torch.testing.assert_close(folded(features, *further), block(features, *further), rtol=1e-5, atol=1e-5)
