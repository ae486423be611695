"""The colours for looking are far apart, for colour-blind people too; lines and legends change no sizes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bcpnet.drawing.clear_colours import Colour, Palette, clear_colours, palette_colours
from bcpnet.drawing.contours import draw_contours
from bcpnet.drawing.legend import draw_legend
from bcpnet.drawing.pictures import overlay_with_contours
from bcpnet.errors import UsageError
from bcpnet.labels import CAMVID, CITYSCAPES

Array = npt.NDArray[np.float64]

# Linear RGB as seen with all cones, without the green ones and without the red ones (Machado, Oliveira, Fernandes
# 2009, table 1, severity 1).
VISIONS = {
    "all cones": np.eye(3),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
}
RGB_TO_XYZ = np.array(  # IEC 61966-2-1, white D65 = 1
    [[0.4339, 0.3762, 0.1899], [0.2126, 0.7152, 0.0722], [0.0178, 0.1095, 0.8727]]
)


def linear(colours: Sequence[Colour] | Array) -> Array:
    values = np.asarray(colours, float) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def least_distance(colours: Sequence[Colour] | Array, vision: str) -> float:
    """The least distance between two of the colours in CIE L*a*b* (Delta E 1976; 2.3 is just noticeable)."""
    xyz = np.clip(linear(colours) @ VISIONS[vision].T, 0, 1) @ RGB_TO_XYZ.T
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    lab = np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=1)
    distances = np.linalg.norm(lab[:, None] - lab[None], axis=2)
    return float(distances[~np.eye(len(lab), dtype=bool)].min())


def over_grey(colours: Sequence[Colour]) -> Array:
    """At half opacity over the middle grey."""
    return np.asarray(colours, float) / 2 + 64


OWN = [f"thing {index}" for index in range(40)]


@pytest.mark.parametrize("vision", VISIONS)
@pytest.mark.parametrize(
    ("names", "apart", "apart_over_grey"),
    [(CAMVID.names, 20, 10), (CITYSCAPES.names, 16, 8), (OWN[:6], 30, 15), (OWN[:11], 20, 10), (OWN, 10, 5)],
    ids=["camvid", "cityscapes", "6 own", "11 own", "40 own"],
)
def test_colours_are_apart(names: Sequence[str], apart: float, apart_over_grey: float, vision: str) -> None:
    colours = clear_colours(names)
    assert least_distance(colours, vision) >= apart
    assert least_distance(over_grey(colours), vision) >= apart_over_grey


def test_camvids_own_colours_are_not() -> None:
    """Why there are others: over a picture, two of them look alike to who lacks a kind of cones."""
    for vision in ("deuteranopia", "protanopia"):
        assert least_distance(over_grey(CAMVID.colours), vision) < 5


def luminance(colours: Sequence[Colour] | Array) -> Array:
    return np.asarray(linear(colours) @ RGB_TO_XYZ[1])


def test_they_are_light() -> None:
    for classes in (CAMVID, CITYSCAPES):
        assert luminance(clear_colours(classes.names)).mean() > 2 * luminance(classes.colours).mean()


@pytest.mark.parametrize(("one", "other"), [("pedestrian", "building"), ("fence", "car")])
def test_contrast_where_camvid_has_little(one: str, other: str) -> None:
    """The ratio of luminances of WCAG 2."""

    def contrast(colours: Sequence[Colour]) -> float:
        light = luminance(over_grey([colours[CAMVID.names.index(name)] for name in (one, other)]))
        return float((light.max() + 0.05) / (light.min() + 0.05))

    assert contrast(CAMVID.colours) < 1.4
    assert contrast(clear_colours(CAMVID.names)) > 1.5


@given(names=st.lists(st.one_of(st.sampled_from(CITYSCAPES.names + CAMVID.names), st.text()), unique=True, max_size=60))
def test_any_names_have_colours(names: list[str]) -> None:
    colours = clear_colours(names)
    assert len(colours) == len(names)
    assert len(set(colours)) >= min(len(names), 21)
    assert colours == clear_colours(names)
    for name, colour in zip(names, colours, strict=True):
        if name in CAMVID.names and names.index(name) == 0:
            assert colour == clear_colours(CAMVID.names)[CAMVID.names.index(name)]


def test_the_same_thing_has_the_same_colour_in_every_set() -> None:
    camvid = dict(zip(CAMVID.names, clear_colours(CAMVID.names), strict=True))
    cityscapes = dict(zip(CITYSCAPES.names, clear_colours(CITYSCAPES.names), strict=True))
    for name, other in (("road", "road"), ("pavement", "sidewalk"), ("tree", "vegetation"), ("pedestrian", "person")):
        assert camvid[name] == cityscapes[other]
    assert clear_colours(["Traffic_Light"]) == clear_colours(["traffic light"])


@given(
    height=st.one_of(st.integers(1, 12), st.just(720)), width=st.integers(1, 30), classes=st.integers(1, 4),
    seed=st.integers(0, 99),
)  # fmt: skip
def test_contours_lie_on_borders_and_only_there(height: int, width: int, classes: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    class_map = rng.integers(0, classes, (height, width), dtype=np.uint8)
    picture = np.full((height, width, 3), 200, np.uint8)
    draw_contours(picture, class_map)
    expected = np.zeros((height, width), bool)
    for y in range(height):
        for x in range(width):
            for other_y, other_x in ((y + 1, x), (y, x + 1)):
                if other_y < height and other_x < width and class_map[y, x] != class_map[other_y, other_x]:
                    expected[y, x] = True
                    expected[other_y, other_x] |= height >= 720
    np.testing.assert_array_equal((picture != 200).all(axis=2), expected)
    assert (picture[~expected] == 200).all()


@pytest.mark.parametrize("size_hw", [(1, 1), (45, 61), (97, 97), (360, 480), (361, 641), (1080, 1920), (1920, 1080)])
@pytest.mark.parametrize("names", [CAMVID.names, CITYSCAPES.names, [f"class {i}" for i in range(150)], ["one " * 30]])
def test_a_legend_in_the_corner_leaves_the_rest(size_hw: tuple[int, int], names: Sequence[str]) -> None:
    picture = np.full((*size_hw, 3), 7, np.uint8)
    colours = clear_colours(names)
    draw_legend(picture, names, colours)
    assert picture.shape == (*size_hw, 3)
    drawn = (picture != 7).any(axis=2)
    height, width = size_hw
    assert not drawn[: int(0.6 * height)].any()
    assert not drawn[:, int(0.9 * width) + 1 :].any()
    if min(size_hw) >= 360:
        assert drawn[-1, 0]
        box = picture[drawn.any(axis=1)][:, drawn.any(axis=0)]
        for side in (box[0], box[-1], box[:, 0], box[:, -1]):  # nothing is cut off
            assert (side == (250, 250, 250)).all()
        if len(names) < 20:
            assert set(colours) <= {tuple(colour) for colour in box.reshape(-1, 3).tolist()}


def test_palettes_that_there_are() -> None:
    names, own = ["road", "x"], [(1, 2, 3), (4, 5, 6)]
    assert palette_colours("clear", names, own) == clear_colours(names)
    assert palette_colours("dataset", names, own) == own
    with pytest.raises(UsageError, match=r"^palette 'clean': need 'clear' or 'dataset'$"):
        palette_colours(cast(Palette, "clean"), names, own)


def test_overlays_keep_the_size_of_their_image() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (361, 481, 3), dtype=np.uint8)
    class_map = rng.integers(0, 11, (19, 37), dtype=np.uint8).repeat(19, axis=0).repeat(13, axis=1)
    colours = clear_colours(CAMVID.names)
    before = image.copy()
    pictures = [overlay_with_contours(image, class_map, CAMVID.names, colours, legend=legend) for legend in (0, 1)]
    np.testing.assert_array_equal(image, before)
    assert [picture.shape for picture in pictures] == [image.shape] * 2
    assert (pictures[0] != pictures[1]).any()
