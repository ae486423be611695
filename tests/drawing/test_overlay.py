"""Laws of colours and overlays, in C for every CPU level and without."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bcpnet import native
from bcpnet.drawing.overlay import (
    _colours_in_c,
    _colours_in_pillow,
    _overlay_in_c,
    _overlay_in_numpy,
    colour_map,
    overlay,
)
from bcpnet.errors import UsageError

Bytes = npt.NDArray[np.uint8]

KERNELS = {level: kernels for level in native.LEVELS if (kernels := native.kernels(level)) is not None}
COLOURINGS: dict[str, Callable[[Bytes, Bytes], Bytes]] = {"pillow": _colours_in_pillow} | {
    level: partial(_colours_in_c, kernels) for level, kernels in KERNELS.items()
}
OVERLAYS: dict[str, Callable[[Bytes, Bytes, Bytes, int], Bytes]] = {"numpy": _overlay_in_numpy} | {
    level: partial(_overlay_in_c, kernels) for level, kernels in KERNELS.items()
}
PALETTE = np.random.default_rng(0).integers(0, 256, (256, 3), dtype=np.uint8)


def _class_map(rng: np.random.Generator, height: int, width: int, classes: int) -> Bytes:
    """Runs of equal pixels, as class maps have them, up to 20 long; the last class is 255."""
    runs = rng.integers(1, 20, height * width)
    labels = rng.integers(0, classes, height * width).repeat(runs)[: height * width].reshape(height, width)
    return np.where(labels == classes - 1, 255, labels).astype(np.uint8)


@pytest.mark.parametrize("coloured", COLOURINGS.values(), ids=COLOURINGS)
@settings(max_examples=60)
@given(height=st.integers(1, 12), width=st.integers(1, 70), classes=st.integers(1, 256), seed=st.integers(0, 999))
def test_colour_map_is_the_palette_at_each_pixel(
    coloured: Callable[[Bytes, Bytes], Bytes], height: int, width: int, classes: int, seed: int
) -> None:
    class_map = _class_map(np.random.default_rng(seed), height, width, classes)
    np.testing.assert_array_equal(coloured(class_map, PALETTE), PALETTE[class_map])


@pytest.mark.parametrize("overlaid", OVERLAYS.values(), ids=OVERLAYS)
@settings(max_examples=80)
@given(
    height=st.integers(1, 140),
    width=st.integers(1, 40),
    weight=st.one_of(st.sampled_from([0, 1, 128, 255, 256]), st.integers(0, 256)),
    classes=st.integers(1, 256),
    seed=st.integers(0, 999),
)
@example(140, 40, 128, 3, 0)
def test_overlay_is_the_weighted_mean(
    overlaid: Callable[[Bytes, Bytes, Bytes, int], Bytes], height: int, width: int, weight: int, classes: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    image = rng.choice(np.array([0, 1, 127, 128, 254, 255], np.uint8), (height, width, 3))
    class_map = _class_map(rng, height, width, classes)
    palette = rng.choice(np.array([0, 1, 127, 128, 254, 255], np.uint8), (256, 3))
    before = image.copy()

    result = overlaid(image, class_map, palette, weight)

    assert result.dtype == np.uint8
    np.testing.assert_array_equal(image, before)
    # In integers: the image's share rounded down, that of the colours to nearest.
    expected = (image.astype(int) * (256 - weight)) // 256 + (palette[class_map].astype(int) * weight + 128) // 256
    np.testing.assert_array_equal(result, np.where(class_map[..., None] == 255, image, expected))


def test_opacity_is_the_share_of_the_colours() -> None:
    image, class_map = np.full((5, 9, 3), (16, 64, 240), np.uint8), np.full((5, 9), 3, np.uint8)
    np.testing.assert_array_equal(overlay(image, class_map, PALETTE, 0), image)
    np.testing.assert_array_equal(overlay(image, class_map, PALETTE, 1), PALETTE[class_map])
    quarter = 0.75 * image + 0.25 * PALETTE[class_map]
    assert np.abs(overlay(image, class_map, PALETTE, 0.25) - quarter).max() <= 1.5


@pytest.mark.parametrize("kernels", KERNELS.values(), ids=KERNELS)
def test_any_memory_layout(kernels: int) -> None:
    rng = np.random.default_rng(1)
    image, class_map = rng.integers(0, 256, (23, 31, 3), dtype=np.uint8), _class_map(rng, 23, 31, 9)
    expected = _overlay_in_numpy(image, class_map, PALETTE, 100)
    for change in (lambda a: np.pad(a, [(2, 3), (4, 5), (0, 0)][: a.ndim])[2:-3, 4:-5], np.asfortranarray):
        np.testing.assert_array_equal(_overlay_in_c(kernels, change(image), change(class_map), PALETTE, 100), expected)
        np.testing.assert_array_equal(_colours_in_c(kernels, change(class_map), PALETTE), PALETTE[class_map])
    upside_down = image[::-1].copy()[::-1], class_map[::-1].copy()[::-1]
    np.testing.assert_array_equal(_overlay_in_c(kernels, *upside_down, np.asfortranarray(PALETTE), 100), expected)


def test_what_does_not_fit_is_refused() -> None:
    image, class_map = np.zeros((4, 6, 3), np.uint8), np.zeros((4, 6), np.uint8)
    with pytest.raises(ValueError, match="class map of shape"):
        overlay(image[:3], class_map, PALETTE)
    with pytest.raises(ValueError, match="need 256 x 3"):
        overlay(image, class_map, PALETTE[:11])
    with pytest.raises(ValueError, match="need 256 x 3"):
        colour_map(class_map, PALETTE.astype(np.float32))
    for opacity in (-0.1, 1.5, np.nan):
        with pytest.raises(UsageError, match="need 0 to 1"):
            overlay(image, class_map, PALETTE, opacity)
