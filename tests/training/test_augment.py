"""Augmentation: one geometry for image and label, drawn as described, and colours that stay colours."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from bcpnet.frames.preprocess import network_size_hw
from bcpnet.labels import IGNORE
from bcpnet.networks.frames import normalise
from bcpnet.training.augment import Crops, augment, colour_jitter, random_geometry, warp, warp_labels, warp_soft
from bcpnet.training.batches import Example
from bcpnet.training.soft_labels import UNIT

IDENTITY = torch.tensor([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])
Array = npt.NDArray[Any]


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


def _examples(labels: Tensor, soft: Tensor | None = None) -> list[Example]:
    """Images that show their labels."""
    rows = [None] * len(labels) if soft is None else soft
    return [Example(*parts) for parts in zip(_colours_of(labels), labels, rows, strict=True)]


def _augment(examples: list[Example], generator: torch.Generator | None = None, **changes: Any) -> Crops:
    """`augment`, by default with images at scale 0.5 to 2, mirrored too, their colours as they are."""
    short_side = min(examples[0].image.shape[1:])
    arguments = {"short_side": short_side, "scale": (0.5, 2.0), "flip": True, "jitter": 0.0, **changes}
    return augment(examples, generator=_generator() if generator is None else generator, **arguments)


def test_identity() -> None:
    labels = _labels(1, (9, 14))
    images = normalise(_colours_of(labels))
    torch.testing.assert_close(warp(images, IDENTITY, (9, 14)), images, rtol=0, atol=1e-5)
    assert torch.equal(warp_labels(labels, IDENTITY, (9, 14)), labels.long())
    soft = torch.randint(0, UNIT + 1, (1, 5, 9, 14), dtype=torch.uint8, generator=_generator())
    torch.testing.assert_close(warp_soft(soft, IDENTITY, (9, 14)), soft / UNIT, rtol=0, atol=1e-5)


def test_mirror() -> None:
    labels = _labels(1, (9, 14))
    images = normalise(_colours_of(labels))
    theta = IDENTITY.clone()
    theta[:, 0, 0] = -1
    torch.testing.assert_close(warp(images, theta, (9, 14)), images.flip(3), rtol=0, atol=1e-5)
    assert torch.equal(warp_labels(labels, theta, (9, 14)), labels.flip(2).long())


@pytest.mark.parametrize("flip", [False, True])
def test_image_and_label_share_integer_shifts(flip: bool) -> None:
    """At scale 1, with starts on whole pixels, every label pixel sits on the colour that it names."""
    labels = _labels(8, (24, 30))
    images = normalise(_colours_of(labels))
    theta = random_geometry([(24, 30)] * 8, (16, 18), (1.0, 1.0), flip, _generator())
    whole = theta.clone()
    for row, (size, crop) in enumerate(((30, 18), (24, 16))):
        start = ((theta[:, row, 2] + 1) * size - crop) / 2
        assert ((start >= -1e-4) & (start <= size - crop + 1e-4)).all()
        whole[:, row, 2] = (2 * start.round() + crop) / size - 1
    crops, cut = warp(images, whole, (16, 18)), warp_labels(labels, whole, (16, 18))
    assert torch.equal(_classes_of(crops), cut)
    for index in range(8):
        x = round(((whole[index, 0, 2].item() + 1) * 30 - 18) / 2)
        y = round(((whole[index, 1, 2].item() + 1) * 24 - 16) / 2)
        window = labels[index, y : y + 16, x : x + 18].long()
        assert torch.equal(cut[index], window.flip(1) if whole[index, 0, 0] < 0 else window)


def _places(theta: Array, row: int, crop: int, size: int) -> Array:
    """Where along one side of an image the pixels of a crop lie, in pixels from the middle of the first."""
    middles = (2 * np.arange(crop) + 1) / crop - 1
    return (theta[row, row] * middles + theta[row, 2] + 1) * size / 2 - 0.5


def _weights(places: Array, size: int) -> Array:
    """How much each pixel of that side counts at those places, bilinearly; nothing lies beyond the image."""
    return np.maximum(0, 1 - np.abs(places[:, None] - np.arange(size)))


def _bilinear(maps: Array, theta: Array, crop_hw: tuple[int, int]) -> Array:
    """C H W -> C h w."""
    down = _weights(_places(theta, 1, crop_hw[0], maps.shape[1]), maps.shape[1])
    across = _weights(_places(theta, 0, crop_hw[1], maps.shape[2]), maps.shape[2])
    return np.einsum("yh,chw,xw->cyx", down, maps, across)


def _nearest(label: Array, theta: Array, crop_hw: tuple[int, int], nudge: tuple[float, float]) -> Array:
    """H W -> h w; `nudge` moves all places by so many pixels."""
    padded = np.pad(label.astype(int), 1, constant_values=IGNORE)
    rows, columns = (
        np.clip(np.rint(_places(theta, axis, crop, size) + shift).astype(int) + 1, 0, size + 1)
        for axis, crop, size, shift in (
            (1, crop_hw[0], label.shape[0], nudge[0]),
            (0, crop_hw[1], label.shape[1], nudge[1]),
        )
    )
    return padded[rows][:, columns]


@settings(max_examples=40)
@given(
    sizes=st.lists(st.tuples(st.integers(5, 70), st.integers(5, 70)), min_size=1, max_size=3),
    soft_hw=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    crop_hw=st.tuples(st.integers(1, 50), st.integers(1, 50)),
    seed=st.integers(0, 1000),
)
def test_crops_are_those_of_a_plain_definition(
    sizes: list[tuple[int, int]], soft_hw: tuple[int, int], crop_hw: tuple[int, int], seed: int
) -> None:
    """In float64, an image at a time, whatever the sizes of image, soft labels and crop: images and soft labels
    bilinearly, labels by the nearest pixel; of every second pixel of the crop, or fourth, rounded up.
    """
    rng = np.random.default_rng(seed)
    examples = [
        Example(
            torch.from_numpy(rng.integers(0, 256, (3, *size_hw), np.uint8)),
            torch.from_numpy(rng.integers(0, 256, size_hw, np.uint8)),
            torch.from_numpy(rng.integers(0, 256, (4, *soft_hw), np.uint8)),
        )
        for size_hw in sizes
    ]
    crops = _augment(examples, _generator(seed), short_side=40, crop_hw=crop_hw)
    second, fourth = (tuple(-(-side // stride) for side in crop_hw) for stride in (2, 4))
    assert crops.soft is not None
    assert crops.inputs.shape == (len(sizes), 3, *crop_hw)
    assert crops.labels.shape == (len(sizes), *second)
    assert crops.soft.shape == (len(sizes), 4, *fourth)
    assert (crops.inputs.dtype, crops.labels.dtype, crops.soft.dtype) == (torch.float32, torch.int64, torch.float32)
    assert crops.inputs.is_contiguous(memory_format=torch.channels_last)
    thetas = random_geometry(
        [network_size_hw(size_hw, 40) for size_hw in sizes], crop_hw, (0.5, 2.0), True, _generator(seed)
    )
    for index, (example, theta) in enumerate(zip(examples, thetas.double().numpy(), strict=True)):
        shown = (example.image.numpy() - 128.0) / 128
        assert np.abs(_bilinear(shown, theta, crop_hw) - crops.inputs[index].numpy()).max() < 1e-3
        assert example.soft is not None
        known = example.soft.numpy() / UNIT
        assert np.abs(_bilinear(known, theta, fourth) - crops.soft[index].numpy()).max() < 1e-3
        # Half-way between two pixels, either is the nearest.
        either = [
            _nearest(example.label.numpy(), theta, second, (down, across))
            for down in (-1e-3, 1e-3)
            for across in (-1e-3, 1e-3)
        ]
        assert (np.stack(either) == crops.labels[index].numpy()).any(0).all()


def test_images_of_two_sizes_are_cut_as_each_alone() -> None:
    """To the bit, each with the geometry that is drawn for its own size."""
    examples = [*_examples(_labels(1, (40, 56))), *_examples(_labels(1, (30, 33)))]
    crops = _augment(examples, short_side=40, crop_hw=(36, 44))
    sizes_hw = [(40, 56), (40, 48)]  # rounded to eights, what the network will be fed
    thetas = random_geometry(sizes_hw, (36, 44), (0.5, 2.0), True, _generator())
    for index, (example, size_hw) in enumerate(zip(examples, sizes_hw, strict=True)):
        own = random_geometry([size_hw] * 2, (36, 44), (0.5, 2.0), True, _generator())[index : index + 1]
        assert torch.equal(own[0], thetas[index])
        assert torch.equal(crops.inputs[index], warp(normalise(example.image[None]), own, (36, 44))[0])
        assert torch.equal(crops.labels[index], warp_labels(example.label[None], own, (18, 22))[0])


def test_a_small_image_is_enlarged_once() -> None:
    """By the crop, as PyTorch resizes; labels are of every second pixel, so at twice the size they are what they were.

    Only along its border does the image differ: it is mixed with grey there.
    """
    labels = _labels(2, (20, 28))
    crops = _augment(_examples(labels), short_side=40, crop_hw=(40, 56), scale=(1.0, 1.0), flip=False)
    expected = F.interpolate(normalise(_colours_of(labels)), size=(40, 56), mode="bilinear", align_corners=False)
    inner = np.s_[..., 1:-1, 1:-1]
    torch.testing.assert_close(crops.inputs[inner], expected[inner], rtol=0, atol=1e-5)
    assert torch.equal(crops.labels, labels.long())


def test_image_and_label_share_every_scale() -> None:
    """Patches of 16 pixels: away from their borders, where bilinear mixes, colour and label agree."""
    labels = _labels(16, (96, 128), patch=16)
    crops = _augment(_examples(labels), crop_hw=(80, 100))
    cut = crops.labels
    shown = _classes_of(F.avg_pool2d(crops.inputs, 2))
    # A pixel is inside where its whole neighbourhood has one label: three by three labels are six by six pixels.
    padded = F.pad(cut[:, None].float(), (1, 1, 1, 1), value=-1)
    around = padded.unfold(2, 3, 1).unfold(3, 3, 1).flatten(4)
    inside = (around.amin(-1) == around.amax(-1))[:, 0] & (cut != IGNORE)
    assert inside.float().mean() > 0.3
    assert torch.equal(shown[inside], cut[inside])
    # And everywhere but at borders: a shift of two pixels would show.
    known = cut != IGNORE
    assert (shown[known] == cut[known]).float().mean() > 0.85


def test_padding_is_ignored_and_grey() -> None:
    labels = _labels(8, (20, 24))
    white = [example._replace(image=torch.full_like(example.image, 255)) for example in _examples(labels)]
    crops = _augment(white, short_side=20, crop_hw=(64, 80), scale=(0.5, 1.5))
    outside = crops.labels == IGNORE
    # All of the scaled image is inside the crop, at any place: its area is what remains. Scale 1 is 32 by 40 pixels,
    # the least that a network is fed with.
    areas = 4 * (~outside).flatten(1).sum(1) / (32 * 32)
    assert ((areas > 0.5**2 * 0.85) & (areas < 1.5**2 * 1.15)).all()
    assert areas.max() > 2 * areas.min()
    shown = F.avg_pool2d(crops.inputs, 2)[:, 0]
    assert shown[~outside].min() > 0.2  # white, mixed with grey on its border only
    eroded = -F.max_pool2d(-outside[:, None].float(), 3, 1, 1)[:, 0]
    assert (shown[eroded > 0] == 0).all()


@pytest.mark.parametrize("crop_hw", [(40, 30), (100, 200)])
def test_geometry_is_drawn_as_described(crop_hw: tuple[int, int]) -> None:
    size_hw, batch = (60, 90), 4000
    theta = random_geometry([size_hw] * batch, crop_hw, (0.5, 2.0), True, _generator())
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
    assert (random_geometry([(60, 90)] * 100, (40, 40), (0.5, 2.0), False, _generator())[:, 0, 0] > 0).all()


def test_everything_follows_from_the_generator() -> None:
    examples = _examples(_labels(4, (40, 56)))
    torch.manual_seed(1)
    one = _augment(examples, crop_hw=(32, 32), jitter=0.3)
    torch.manual_seed(2)
    again, other = (_augment(examples, _generator(seed), crop_hw=(32, 32), jitter=0.3) for seed in (0, 1))
    for first, same, another in zip(one[:2], again[:2], other[:2], strict=True):
        assert torch.equal(first, same)
        assert not torch.equal(first, another)


def test_the_examples_given_are_left_alone() -> None:
    soft = torch.randint(0, UNIT + 1, (2, 3, 10, 14), dtype=torch.uint8, generator=_generator())
    examples = _examples(_labels(2, (40, 56)), soft)
    kept = [[tensor.clone() for tensor in example] for example in examples]
    _augment(examples, crop_hw=(32, 32), jitter=0.3)
    for example, before in zip(examples, kept, strict=True):
        assert all(torch.equal(tensor, same) for tensor, same in zip(example, before, strict=True))


def test_jitter_changes_the_colours_of_the_crops_and_nothing_else() -> None:
    soft = torch.randint(0, UNIT + 1, (4, 3, 10, 14), dtype=torch.uint8, generator=_generator())
    examples = _examples(_labels(4, (40, 56)), soft)
    generator = _generator()
    plain = _augment(examples, generator, crop_hw=(50, 32))
    coloured = _augment(examples, crop_hw=(50, 32), jitter=0.3)
    torch.testing.assert_close(coloured.inputs, colour_jitter(plain.inputs, 0.3, generator), rtol=0, atol=1e-5)
    assert torch.equal(coloured.labels, plain.labels)
    assert plain.soft is not None
    assert coloured.soft is not None
    assert torch.equal(coloured.soft, plain.soft)


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
    certain = F.one_hot(labels[:, ::stride, ::stride].long(), int(labels.max()) + 1)
    soft = (certain.movedim(-1, 1) * UNIT).byte()
    _, cut, soft_cut = _augment(_examples(labels, soft), crop_hw=(78, 101), jitter=0.3)
    assert soft_cut is not None
    assert soft_cut.shape == (64, soft.shape[1], 20, 26)
    # Every soft pixel covers about two by two labels; at scale 0.5, bilinear mixing reaches as far again.
    centres = F.interpolate(cut[:, None].float(), (20, 26), mode="nearest-exact")
    around = F.pad(centres, (2, 2, 2, 2), value=-1).unfold(2, 5, 1).unfold(3, 5, 1).flatten(4)
    inside = (around.amin(-1) == around.amax(-1))[:, 0]
    known, beyond = inside & (centres[:, 0] != IGNORE), inside & (centres[:, 0] == IGNORE)
    assert min(known.sum(), beyond.sum()) > 100
    assert torch.equal(soft_cut.argmax(1)[known], centres[:, 0][known].long())
    torch.testing.assert_close(soft_cut.sum(1)[known], torch.ones(int(known.sum())))
    assert not soft_cut.sum(1)[beyond].any()


def test_without_soft_labels_there_are_none() -> None:
    assert _augment(_examples(_labels(2, (40, 56))), crop_hw=(32, 32)).soft is None
