"""Legends, sheets and matrices of the promised sizes with nothing cut off."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from bcpnet.drawing import legend
from bcpnet.drawing import pictures as draw
from bcpnet.labels import CAMVID, CITYSCAPES, ClassSet

RNG = np.random.default_rng(0)
PALETTE = RNG.integers(0, 256, (256, 3), dtype=np.uint8)
PAPER = (250, 250, 250)


def noise(height: int, width: int) -> npt.NDArray[np.uint8]:
    return RNG.integers(0, 256, (height, width, 3), dtype=np.uint8)


def many_classes(count: int) -> ClassSet:
    colours = tuple((int(r), int(g), int(b)) for r, g, b in RNG.integers(0, 256, (count, 3)))
    return ClassSet("many", tuple(f"class {index}" for index in range(count)), colours)


@pytest.mark.parametrize("size_hw", [(360, 480), (361, 481), (1080, 1920), (97, 97), (1, 1)])
@pytest.mark.parametrize("classes", [CAMVID, CITYSCAPES, many_classes(150), many_classes(1)], ids=lambda c: f"{len(c)}")
@pytest.mark.parametrize("with_shares", [False, True])
def test_legend_stands_below_an_unchanged_picture(
    size_hw: tuple[int, int], classes: ClassSet, with_shares: bool
) -> None:
    height, width = size_hw
    image = noise(height, width)
    shares = [1 / len(classes)] * len(classes) if with_shares else None
    result = draw.with_legend(image, classes.names, classes.colours, shares)
    left = (result.shape[1] - width) // 2
    np.testing.assert_array_equal(result[:height, left : left + width], image)
    assert result.shape[0] % 2 == 0
    assert result.shape[1] == max(width, 320)
    assert result.shape[0] - height <= max(height / 2 + 40, 210)
    legend = result[height:]
    assert_paper_all_around(legend)
    if len(classes) < 150:
        present = {tuple(colour) for colour in legend.reshape(-1, 3).tolist()}
        assert set(classes.colours) <= present


def test_legend_is_kept_and_cannot_be_spoilt() -> None:
    image = noise(240, 320)
    first = draw.with_legend(image, CAMVID.names, CAMVID.colours)
    misses = legend._legend.cache_info().misses
    first[240:] = 0
    again = draw.with_legend(image, CAMVID.names, CAMVID.colours)
    assert legend._legend.cache_info().misses == misses
    assert again[240:].max() > 200


def test_shares_change_the_numbers_not_the_size() -> None:
    image = noise(240, 320)
    pictures = [
        draw.with_legend(image, CAMVID.names, CAMVID.colours, shares)
        for shares in ([1.0] + [0.0] * 10, [0.5, 0.5] + [0.0] * 9)
    ]
    assert pictures[0].shape == pictures[1].shape
    assert (pictures[0] != pictures[1]).any()


def test_long_names_are_shortened() -> None:
    result = draw.with_legend(noise(200, 320), ["an endless name " * 20, "b"], [(255, 0, 0), (0, 255, 0)])
    assert_paper_all_around(result[200:])


def assert_paper_all_around(picture: npt.NDArray[np.uint8]) -> None:
    """Nothing reaches the outermost pixels, so nothing was cut off there."""
    for side in (picture[0], picture[-1], picture[:, 0], picture[:, -1]):
        assert (side == PAPER).all()


def test_contact_sheet_holds_every_tile() -> None:
    tiles = [(f"tile {index}", np.full((30 + 10 * index, 40, 3), 10 * index, np.uint8)) for index in range(5)]
    sheet = draw.contact_sheet([*tiles, ("a title far too long for its tile " * 5, noise(20, 200))], tile_width=120)
    assert_paper_all_around(sheet)
    assert sheet.shape[1] == 3 * 120 + 4 * 12
    for _, tile in tiles:
        height = round(120 * len(tile) / 40)
        assert (sheet == tile[0, 0]).all(axis=2).sum() >= 120 * height
    one = draw.contact_sheet([("only", noise(60, 120))], tile_width=120)
    assert one.shape[1] == 120 + 2 * 12


@pytest.mark.parametrize("classes", [CAMVID, CITYSCAPES, many_classes(150)], ids=lambda c: f"{len(c)}")
def test_confusion_of_a_perfect_prediction_is_a_dark_diagonal(classes: ClassSet) -> None:
    count = len(classes)
    picture = draw.draw_confusion(np.eye(count, dtype=np.int64) * 10**12, classes.names)
    assert max(picture.shape) <= 2000
    assert_paper_all_around(picture)
    navy = tuple(draw._HEAT[255])
    dark = (picture == navy).all(axis=2)
    dark[:, -95:] = False  # the scale at the side
    rows, columns = np.nonzero(dark)
    across, down = np.ptp(columns) + 1, np.ptp(rows) + 1
    assert abs(across - down) <= 1
    assert across / count >= 9  # pixels a class
    # Dark lies on the diagonal only: as many dark columns in a row as one cell is wide.
    assert dark.sum(axis=1).max() <= across / count + 1


@pytest.mark.parametrize("count", [1, 2, 30, 31, 60])
def test_confusion_of_any_number_of_classes_fits_its_sheet(count: int) -> None:
    names = [f"class {index} with a name as long as anyone would want" for index in range(count)]
    matrix = RNG.integers(0, 10**6, (count, count))
    assert_paper_all_around(draw.draw_confusion(matrix, names))


def test_confusion_rows_are_shares_of_the_truth() -> None:
    matrix = np.array([[90, 10], [0, 0]], np.int64)
    picture = draw.draw_confusion(matrix, ["road", "sky"])
    present = {tuple(colour) for colour in picture.reshape(-1, 3).tolist()}
    for share in (0.9, 0.1):
        assert tuple(draw._HEAT[round(255 * share**0.5)].tolist()) in present
    assert (228, 229, 232) in present  # the grey row
    np.testing.assert_array_equal(picture, draw.draw_confusion(matrix * 1000, ["road", "sky"]))


def test_pictures_are_plain_arrays() -> None:
    for picture in (
        draw.colour_map(np.zeros((3, 4), np.uint8), PALETTE),
        draw.overlay(noise(3, 4), np.zeros((3, 4), np.uint8), PALETTE),
        draw.with_legend(noise(3, 4), CAMVID.names, CAMVID.colours),
        draw.draw_confusion(np.eye(2, dtype=np.int64), ["a", "b"]),
        draw.contact_sheet([("a", noise(3, 4))]),
    ):
        assert picture.dtype == np.uint8
        assert picture.flags.writeable
        assert picture.flags.c_contiguous
        assert Image.fromarray(picture).mode == "RGB"


def test_errors_are_red_and_void_is_none() -> None:
    label = np.array([[0, 1], [1, 255]], np.uint8).repeat(60, 0).repeat(80, 1)
    image = noise(60, 80)  # of another size than its label

    def reds(class_map: draw.Picture) -> int:
        sheet = draw.draw_errors(image, label, class_map, CAMVID.palette(), tile_width=160)
        return int((sheet == (225, 45, 45)).all(axis=2).sum())

    wrong = label.copy()
    wrong[:60, :80] = 1
    assert reds(np.where(label == 255, 0, label).astype(np.uint8)) == 0
    assert 60 * 80 * 0.9 < reds(wrong) <= 60 * 80
