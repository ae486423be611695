"""Augmentation: one geometry for image and label, drawn as described, and colours that stay colours."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from bcpnet.labels import IGNORE
from bcpnet.networks.frames import normalise
from bcpnet.training.augment import augment, colour_jitter, random_geometry, warp
from bcpnet.training.soft_labels import UNIT

IDENTITY = torch.tensor([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _colours_of(labels: Tensor) -> Tensor:
    """An image that says what its label is: N H W -> N 3 H W uint8, 16 shades a class."""
    return (labels * 16).to(torch.uint8)[:, None].repeat(1, 3, 1, 1)


def _classes_of(inputs: Tensor) -> Tensor:
    """Back from network input, where it shows one class."""
    return ((inputs[:, 0] * 128 + 128) / 16).round().long()


def _labels(batch: int, size_hw: tuple[int, int], patch: int = 1) -> Tensor:
    small = torch.randint(0, 11, (batch, -(-size_hw[0] // patch), -(-size_hw[1] // patch)), generator=_generator(9))
    large = small.repeat_interleave(patch, 1).repeat_interleave(patch, 2)[:, : size_hw[0], : size_hw[1]]
    return large.to(torch.uint8)


def test_identity() -> None:
    labels = _labels(1, (9, 14))
    images = normalise(_colours_of(labels))
    crops, cut = warp(images, labels, IDENTITY, (9, 14))
    torch.testing.assert_close(crops, images, rtol=0, atol=1e-5)
    assert torch.equal(cut, labels.long())


def test_mirror() -> None:
    labels = _labels(1, (9, 14))
    images = normalise(_colours_of(labels))
    theta = IDENTITY.clone()
    theta[:, 0, 0] = -1
    crops, cut = warp(images, labels, theta, (9, 14))
    torch.testing.assert_close(crops, images.flip(3), rtol=0, atol=1e-5)
    assert torch.equal(cut, labels.flip(2).long())


@pytest.mark.parametrize("flip", [False, True])
def test_image_and_label_share_integer_shifts(flip: bool) -> None:
    """At scale 1, with starts on whole pixels, every label pixel sits on the colour that it names."""
    labels = _labels(8, (24, 30))
    images = normalise(_colours_of(labels))
    theta = random_geometry(8, (24, 30), (16, 18), (1.0, 1.0), flip, _generator())
    whole = theta.clone()
    for row, (size, crop) in enumerate(((30, 18), (24, 16))):
        start = ((theta[:, row, 2] + 1) * size - crop) / 2
        assert ((start >= -1e-4) & (start <= size - crop + 1e-4)).all()
        whole[:, row, 2] = (2 * start.round() + crop) / size - 1
    crops, cut = warp(images, labels, whole, (16, 18))
    assert torch.equal(_classes_of(crops), cut)
    for index in range(8):
        x = round(((whole[index, 0, 2].item() + 1) * 30 - 18) / 2)
        y = round(((whole[index, 1, 2].item() + 1) * 24 - 16) / 2)
        window = labels[index, y : y + 16, x : x + 18].long()
        assert torch.equal(cut[index], window.flip(1) if whole[index, 0, 0] < 0 else window)


def test_image_and_label_share_every_scale() -> None:
    """Patches of 16 pixels: away from their borders, where bilinear mixes, colour and label agree."""
    labels = _labels(16, (96, 128), patch=16)
    crops, cut, _ = augment(
        _colours_of(labels), labels, crop_hw=(80, 100), scale=(0.5, 2.0), flip=True, jitter=0, generator=_generator()
    )
    assert crops.shape == (16, 3, 80, 100)
    assert crops.dtype == torch.float32
    assert cut.dtype == torch.int64
    # A pixel is inside where its whole neighbourhood has one label; at scale 0.5 a crop pixel spans two.
    padded = torch.nn.functional.pad(cut[:, None].float(), (2, 2, 2, 2), value=-1)
    around = padded.unfold(2, 5, 1).unfold(3, 5, 1).flatten(4)
    inside = (around.amin(-1) == around.amax(-1))[:, 0] & (cut != IGNORE)
    assert inside.float().mean() > 0.3
    assert torch.equal(_classes_of(crops)[inside], cut[inside])
    # And everywhere but at borders: a shift of two pixels would show.
    shown = cut != IGNORE
    assert (_classes_of(crops)[shown] == cut[shown]).float().mean() > 0.75


def test_padding_is_ignored_and_grey() -> None:
    labels = _labels(8, (20, 24))
    images = torch.full((8, 3, 20, 24), 255, dtype=torch.uint8)
    crops, cut, _ = augment(
        images, labels, crop_hw=(64, 80), scale=(0.5, 1.5), flip=True, jitter=0, generator=_generator()
    )
    outside = cut == IGNORE
    # All of the scaled image is inside the crop, at any place: its area is what remains.
    areas = (~outside).flatten(1).sum(1) / (20 * 24)
    assert ((areas > 0.5**2 * 0.85) & (areas < 1.5**2 * 1.15)).all()
    assert areas.max() > 2 * areas.min()
    assert crops[:, 0][~outside].min() > 0.2  # white, mixed with grey on its border only
    eroded = -torch.nn.functional.max_pool2d(-outside[:, None].float(), 3, 1, 1)[:, 0]
    assert (crops[:, 0][eroded > 0] == 0).all()


@pytest.mark.parametrize("crop_hw", [(40, 30), (100, 200)])
def test_geometry_is_drawn_as_described(crop_hw: tuple[int, int]) -> None:
    size_hw, batch = (60, 90), 4000
    theta = random_geometry(batch, size_hw, crop_hw, (0.5, 2.0), True, _generator())
    assert theta.shape == (batch, 2, 3)
    assert not theta[:, 0, 1].any()
    assert not theta[:, 1, 0].any()
    factor = crop_hw[0] / (theta[:, 1, 1] * size_hw[0])
    torch.testing.assert_close(crop_hw[1] / (theta[:, 0, 0].abs() * size_hw[1]), factor)  # the aspect is kept
    assert factor.min() >= 0.5 - 1e-5
    assert factor.max() <= 2 + 1e-5
    assert factor.mean().item() == pytest.approx(1.25, abs=0.03)
    assert (theta[:, 0, 0] < 0).float().mean().item() == pytest.approx(0.5, abs=0.04)
    for row, (size, crop) in enumerate(((size_hw[1], crop_hw[1]), (size_hw[0], crop_hw[0]))):
        start = ((theta[:, row, 2] + 1) * factor * size - crop) / 2  # in pixels of the scaled image
        room = factor * size - crop
        assert (start >= room.clamp(max=0) - 1e-2).all()
        assert (start <= room.clamp(min=0) + 1e-2).all()
        place = (start / room)[room.abs() > 1]
        assert place.mean().item() == pytest.approx(0.5, abs=0.03)
        assert place.std().item() == pytest.approx(12**-0.5, abs=0.03)


def test_no_flip_unless_asked() -> None:
    assert (random_geometry(100, (60, 90), (40, 40), (0.5, 2.0), False, _generator())[:, 0, 0] > 0).all()


def test_everything_follows_from_the_generator() -> None:
    labels = _labels(4, (40, 56))

    def crops(seed: int) -> tuple[Tensor, Tensor]:
        return augment(
            _colours_of(labels), labels, crop_hw=(32, 32), scale=(0.5, 2), flip=True, jitter=0.3,
            generator=_generator(seed),
        )[:2]  # fmt: skip

    torch.manual_seed(1)
    one = crops(0)
    torch.manual_seed(2)
    again, other = crops(0), crops(1)
    assert all(torch.equal(a, b) for a, b in zip(one, again, strict=True))
    assert not torch.equal(one[0], other[0])
    assert not torch.equal(one[1], other[1])


def test_the_batch_given_is_left_alone() -> None:
    labels = _labels(2, (40, 56))
    images = _colours_of(labels)
    kept = images.clone(), labels.clone()
    augment(images, labels, crop_hw=(32, 32), scale=(0.5, 2), flip=True, jitter=0.3, generator=_generator())
    assert torch.equal(images, kept[0])
    assert torch.equal(labels, kept[1])


def test_no_jitter_changes_nothing() -> None:
    images = torch.rand(4, 3, 12, 16, generator=_generator()) * 2 - 1
    torch.testing.assert_close(colour_jitter(images, 0.0, _generator()), images, rtol=0, atol=1e-6)


@pytest.mark.parametrize("strength", [0.3, 1.0])
def test_jitter_keeps_the_range_and_every_image_gets_its_own(strength: float) -> None:
    one = torch.rand(1, 3, 12, 16, generator=_generator()) * 2 - 1
    changed = colour_jitter(one.repeat(6, 1, 1, 1), strength, _generator())
    assert changed.shape == (6, 3, 12, 16)
    assert changed.min() >= -1
    assert changed.max() <= 1
    for a in range(6):
        for b in range(a):
            assert (changed[a] - changed[b]).abs().mean() > 0.01


def test_jitter_is_bounded_by_its_strength() -> None:
    """A mid-grey image knows neither contrast nor saturation: brightness and cast alone move it."""
    light = colour_jitter(torch.zeros(2000, 3, 2, 2), 0.2, _generator())[:, :, 0, 0] + 1
    assert light.min() >= 0.8 * 0.95 - 1e-6
    assert light.max() <= 1.2 * 1.05 + 1e-6
    assert light.min() < 0.8
    assert light.max() > 1.2
    cast = light / light.mean(1, keepdim=True)
    assert (cast - 1).abs().max() <= 0.05 / 0.95 * 1.5
    assert (cast - 1).abs().mean() > 0.01


def test_jitter_keeps_the_order_of_greys() -> None:
    """Brightness, contrast and cast are increasing: what was darker stays not lighter, channel by channel."""
    ramp = torch.linspace(-1, 1, 50).view(1, 1, 1, 50).repeat(20, 3, 4, 1)
    changed = colour_jitter(ramp, 0.5, _generator())
    assert (changed.diff(dim=3) >= -1e-6).all()


@pytest.mark.parametrize("stride", [1, 4])
def test_soft_labels_are_cut_as_labels_are(stride: int) -> None:
    """Certain soft labels, at the labels' size or a quarter of it: where a crop has one label around, it is theirs."""
    labels = _labels(64, (96, 128), patch=16)
    certain = torch.nn.functional.one_hot(labels[:, ::stride, ::stride].long(), int(labels.max()) + 1)
    soft = (certain.movedim(-1, 1) * UNIT).byte()
    _, cut, soft_cut = augment(
        _colours_of(labels), labels, soft, crop_hw=(78, 101), scale=(0.5, 2.0), flip=True, jitter=0.3,
        generator=_generator(),
    )  # fmt: skip
    assert soft_cut is not None
    assert soft_cut.dtype == torch.float32
    assert soft_cut.shape == (64, soft.shape[1], 20, 26)
    # Every soft pixel covers about four by four labels; at scale 0.5, bilinear mixing reaches as far again.
    centres = torch.nn.functional.interpolate(cut[:, None].float(), (20, 26), mode="nearest-exact")
    around = torch.nn.functional.pad(centres, (2, 2, 2, 2), value=-1).unfold(2, 5, 1).unfold(3, 5, 1).flatten(4)
    inside = (around.amin(-1) == around.amax(-1))[:, 0]
    known, beyond = inside & (centres[:, 0] != IGNORE), inside & (centres[:, 0] == IGNORE)
    assert min(known.sum(), beyond.sum()) > 100
    assert torch.equal(soft_cut.argmax(1)[known], centres[:, 0][known].long())
    torch.testing.assert_close(soft_cut.sum(1)[known], torch.ones(int(known.sum())))
    assert not soft_cut.sum(1)[beyond].any()
