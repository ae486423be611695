"""ESPNetv2: the released weights and what they compute, the published counts, and its parts against plain formulas."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from espnetv2_files import random_espnetv2, released
from random_networks import random_frames, random_images, randomised
from safetensors.torch import load_file
from torch import Tensor, nn

from bcpnet.errors import InputError, UsageError
from bcpnet.networks import build
from bcpnet.networks.fold import fold
from bcpnet.networks.frames import normalise
from bcpnet.networks.info import describe
from bcpnet.networks.zoo.espnetv2 import EESP, LEVELS, DownSampler, ESPNetv2, PyramidPooling, _averaged, _level_side
from bcpnet.networks.zoo.espnetv2_weights import from_release

# Our module -> the released one whose features the reference files hold.
STAGES = {
    "stem": "base_net.level1",
    "down4": "base_net.level2_0",
    "down8": "base_net.level3_0",
    "blocks8": "base_net.level3.2",
    "down16": "base_net.level4_0",
    "blocks16": "base_net.level4.6",
    "pyramid16": "bu_dec_l1",
    "pyramid8": "bu_dec_l2",
    "pyramid4": "bu_dec_l3",
    "pyramid2": "bu_dec_l4",
}
RELEASES = [("200", 2.0), ("150", 1.5)]


@pytest.mark.parametrize(("file", "scale"), RELEASES)
def test_released_weights_compute_what_they_do_in_the_release(file: str, scale: float, pretrained_root: Path) -> None:
    weights = pretrained_root / f"espnetv2_{file}_cityscapes.safetensors"
    if not weights.is_file():
        pytest.skip(f"no {weights}")
    network = from_release(load_file(weights), scale)
    reference = load_file(pretrained_root / f"espnetv2_{file}_reference.safetensors")
    seen: dict[str, Tensor] = {}
    for ours, theirs in STAGES.items():
        network.get_submodule(ours).register_forward_hook(lambda _, __, y, key=theirs: seen.update({key: y}))
    image = reference["input_uint8"]
    with torch.inference_mode():
        logits = network(normalise(image))
    assert list(seen) == list(STAGES.values())
    for stage, features in seen.items():
        mean = reference[f"{stage}/mean"]
        assert len(mean) == features.shape[1] + (stage == "bu_dec_l4")
        torch.testing.assert_close(features.mean((0, 2, 3)), mean[: features.shape[1]], rtol=0, atol=1e-4)
        torch.testing.assert_close(features[0, 0], reference[f"{stage}/channel0"], rtol=0, atol=1e-4)
    whole = F.interpolate(logits, image.shape[-2:], mode="bilinear", align_corners=True)
    torch.testing.assert_close(whole[0, 0], reference["logits/channel0"], rtol=0, atol=1e-4)
    # The rest is there in float16, of which half a step is 2^-11 of the value.
    torch.testing.assert_close(whole, reference["logits"][:, :19].float(), rtol=2**-11, atol=1e-4)


@pytest.mark.parametrize(("scale", "as_released", "unused"), [(2.0, 789_242, 96 + 128 + 256), (1.5, 468_362, 352)])
def test_parameters_are_the_releases_less_what_it_does_not_use(scale: float, as_released: int, unused: int) -> None:
    background = 10 + 1  # weights and bias of its logit
    assert describe("espnetv2", 19, [], scale=scale).parameters == as_released - unused - background


def test_macs_are_the_published() -> None:
    info = describe("espnetv2", 19, [(512, 1024)])
    assert info.macs["512x1024"] == pytest.approx(2699.05e6, rel=0.002)


@pytest.mark.parametrize("scale", [0.5, 1.0, 1.25, 1.5, 2.0])
@pytest.mark.parametrize("size", [(32, 64), (97, 131), (100, 35)])
def test_logits_lie_at_stride_2(size: tuple[int, int], scale: float) -> None:
    with torch.device("meta"):
        logits = ESPNetv2(5, scale=scale)(torch.empty(2, 3, *size))
    assert logits.shape == (2, 5, -(-size[0] // 2), -(-size[1] // 2))


def test_another_scale_is_refused() -> None:
    with pytest.raises(UsageError, match=r"espnetv2: scale 3: choose one of 0\.5, 1\.0, 1\.25, 1\.5, 2\.0"):
        build("espnetv2", 19, scale=3)


def test_it_reads_pixels_as_the_release_does() -> None:
    network = random_espnetv2(0.5)
    read = []
    network.stem.register_forward_pre_hook(lambda _, inputs: read.append(inputs[0]))
    frames = random_frames(2, 3, 33, 47)
    with torch.inference_mode():
        network(normalise(frames))
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    expected = (frames / 255 - mean[:, None, None]) / std[:, None, None]
    torch.testing.assert_close(read[0], expected)
    assert not {"gain", "offset"} & network.state_dict().keys()


@pytest.mark.parametrize("stride", [1, 2])
def test_eesp_is_the_sum_of_ever_wider_convolutions(stride: int) -> None:
    unit = EESP(16, 32, stride, (1, 2, 3, 4))
    randomised(unit)
    x = random_images(2, 16, 13, 18)
    reduced = unit.reduce(x)
    fused = torch.zeros(())
    parts = []
    for dilation, branch in enumerate(unit.branches, 1):
        assert isinstance(branch, nn.Conv2d)
        fused = fused + F.conv2d(reduced, branch.weight, None, stride, dilation, dilation, groups=8)
        parts.append(fused)
    torch.testing.assert_close(unit(x), unit.merge(unit.norm(torch.cat(parts, 1))))


def test_downsampling_keeps_the_averages_first_and_adds_the_image() -> None:
    down = DownSampler(8, 24)
    randomised(down)
    x, image = random_images(1, 8, 9, 14), random_images(1, 3, 5, 7, seed=1)
    with torch.no_grad():
        for parameter in down.reinforce[1].parameters():
            parameter.zero_()
        without = down(x, image)
        torch.testing.assert_close(without, down(x, -image))
        averages = F.conv2d(x, torch.full((8, 1, 3, 3), 1 / 9), None, 2, 1, groups=8)
        torch.testing.assert_close(without[:, :8], F.prelu(averages, down.act.weight[:8]))
        down.reinforce[1][1].bias.fill_(3.0)
        torch.testing.assert_close(
            down(x, image), F.prelu(torch.cat([averages, down.eesp(x)], 1) + 3.0, down.act.weight)
        )


def _plain_pyramid(pooling: PyramidPooling, x: Tensor) -> Tensor:
    """As the release computes it: PyTorch's adaptive pooling, five levels one after another, then a channel shuffle."""
    x = pooling.project(x)
    size = x.shape[-2:]
    levels = []
    for level, scale in zip(pooling.levels, (2.0, 1.5, 1.0, 0.5, 0.1), strict=True):
        height, width = (max(5, -int(-side * scale // 1)) for side in size)
        if scale > 1:
            larger = F.interpolate(x, (height, width), mode="bilinear", align_corners=True)
            levels.append(F.adaptive_avg_pool2d(level(larger), size))
        elif scale < 1:
            smaller = level(F.adaptive_avg_pool2d(x, (height, width)))
            levels.append(F.interpolate(smaller, size, mode="bilinear", align_corners=True))
        else:
            levels.append(level(x))
    n = levels[0].shape[1]
    shuffled = torch.cat(levels, 1)[:, [level * n + channel for channel in range(n) for level in range(5)]]
    y: Tensor = pooling.last(pooling.merge(pooling.norm(shuffled)))
    return y


# From sizes under the smallest of a level (5) to one whose tenth is more than that.
@pytest.mark.parametrize("size", [(2, 3), (5, 8), (9, 14), (60, 77)])
def test_pyramid_pooling_is_the_releases_also_folded(size: tuple[int, int]) -> None:
    pooling = PyramidPooling(12, 4, nn.Sequential(nn.Conv2d(4, 3, 1)))
    randomised(pooling)
    x = random_images(2, 12, *size)
    expected = _plain_pyramid(pooling, x)
    torch.testing.assert_close(pooling(x), expected, rtol=1e-4, atol=1e-4)
    folded = fold(pooling)
    assert isinstance(folded.norm, nn.PReLU)
    torch.testing.assert_close(folded(x), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("size", [(2, 3), (11, 7), (24, 52)])
@pytest.mark.parametrize("bins", [(1, 1), (5, 5), (8, 17)])
def test_averages_are_pytorchs(size: tuple[int, int], bins: tuple[int, int]) -> None:
    x = random_images(2, 3, *size).requires_grad_()
    ours, expected = _averaged(x, *bins, most=max(size)), F.adaptive_avg_pool2d(x, bins)
    torch.testing.assert_close(ours, expected)
    weight = random_images(*expected.shape, seed=1)
    (gradient,) = torch.autograd.grad((ours * weight).sum(), x)
    torch.testing.assert_close(gradient, torch.autograd.grad((expected * weight).sum(), x)[0])


@pytest.mark.parametrize(("numerator", "denominator", "most"), [level for level in LEVELS if level[0] != level[1]])
def test_no_average_of_a_level_takes_more_than_it_is_given(numerator: int, denominator: int, most: int) -> None:
    widest = 0
    for side in range(2, 1100):
        scaled = int(_level_side(side, numerator, denominator))
        size, bins = (side, scaled) if numerator < denominator else (scaled, side)
        widest = max(widest, *(-(-(i + 1) * size // bins) - i * size // bins for i in range(bins)))
    assert widest == most


def test_what_is_released_is_what_is_loaded() -> None:
    network = random_espnetv2(0.5)
    tensors = released(network)
    expected = network.state_dict()
    for given in (tensors, {name: value for name, value in tensors.items() if value.ndim}):  # without the counters too
        loaded = from_release(given, 0.5)
        assert not loaded.training
        assert all(torch.equal(value, expected[name]) for name, value in loaded.state_dict().items())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bu_br_l2.0.weight": None}, r"tensor bu_br_l2\.0\.weight of ESPNetv2 is missing"),
        ({"more\nof it": torch.zeros(1)}, r"tensor 'more\\nof it' is not part of ESPNetv2"),
        ({"stem.0.weight": torch.zeros(16, 3, 3, 3)}, r"tensor 'stem\.0\.weight' is not part of ESPNetv2"),
        ({"bu_br_l2.0.weight": torch.zeros(63)}, r"bu_br_l2\.0\.weight is \[63\], the network wants \[64\]"),
        ({"bu_br_l2.0.weight": torch.zeros(64).double()}, r"bu_br_l2\.0\.weight is not a tensor of float32"),
        ({"bu_br_l2.0.weight": [0.0] * 64}, r"bu_br_l2\.0\.weight is not a tensor of float32"),
        ({"bu_br_l2.0.weight": torch.zeros(64).to_sparse()}, r"bu_br_l2\.0\.weight is not a tensor of float32"),
        ({"bu_br_l2.0.weight": torch.full((64,), torch.nan)}, "has values that are not finite"),
        # PASCAL's 21 classes: the rest of the network has the same shapes
        ({"bu_dec_l4.merge_layer.3.bias": torch.zeros(21)}, r"is \[21\], the network wants \[20\]"),
        ({"bu_dec_l4.merge_layer.3.bias": torch.zeros(19)}, r"is \[19\], the network wants \[20\]"),
    ],
)
def test_other_tensors_are_refused(change: dict[str, object], message: str) -> None:
    tensors: dict[str, object] = {**released(random_espnetv2(0.5)), **change}
    with pytest.raises(InputError, match=message) as raised:
        from_release({name: tensor for name, tensor in tensors.items() if tensor is not None}, 0.5)
    assert "\n" not in str(raised.value)


def test_another_scale_than_that_of_the_tensors_is_refused() -> None:
    with pytest.raises(InputError, match=r"base_net\.level1\.conv\.weight is \[16, 3, 3, 3\], the network wants \[32,"):
        from_release(released(random_espnetv2(0.5)), 1.0)
