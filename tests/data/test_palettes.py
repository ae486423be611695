"""Palette masks read as ids: a palette that gives a class the colour of another is never passed over."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from bcpnet.data.files import ColourLabels, IdLabels, with_ignore
from bcpnet.errors import InputError
from bcpnet.labels import IGNORE, ClassSet

COLOURS = ((128, 64, 128), (0, 0, 142), (70, 130, 180), (0, 0, 0))
CLASSES = ClassSet("test", ("road", "car", "sky", "other"), COLOURS)
IDS = with_ignore({index: index for index in range(4)})


def _palette_mask(path: Path, ids: np.ndarray, palette: list[tuple[int, ...]]) -> Path:
    mask = Image.fromarray(ids.astype(np.uint8))
    mask.putpalette([channel for colour in palette for channel in colour])
    mask.save(path)
    return path


@given(order=st.permutations(range(4)), used=st.sets(st.integers(0, 3), min_size=1))
def test_another_order_is_refused_wherever_it_matters(
    tmp_path_factory: pytest.TempPathFactory, order: list[int], used: set[int]
) -> None:
    """An optimiser writes class `order[i]` as i: what is read is the class, or nothing."""
    right = np.resize(sorted(used), (5, 7)).astype(np.uint8)
    ids = np.argsort(order)[right]
    path = _palette_mask(tmp_path_factory.getbasetemp() / "m.png", ids, [COLOURS[index] for index in order])
    by_colour = ColourLabels({colour: index for index, colour in enumerate(COLOURS)})
    assert (by_colour(path) == right).all()  # what it shows
    if (ids == right).all():
        assert (IdLabels(IDS, CLASSES)(path) == right).all()
    else:
        with pytest.raises(InputError, match=r"m\.png: id \d is .*masks: colour"):
            IdLabels(IDS, CLASSES)(path)


def test_the_message_names_both_classes(tmp_path: Path) -> None:
    path = _palette_mask(tmp_path / "m.png", np.array([[1]]), [COLOURS[1], COLOURS[0]])
    with pytest.raises(InputError, match="id 1 is car, but its colour in the palette is road's"):
        IdLabels(IDS, CLASSES)(path)


def test_ids_that_stand_for_other_train_ids(tmp_path: Path) -> None:
    """The palette belongs to the values of the file."""
    ids = with_ignore({7: 0, 26: 1})
    palette = [(9, 9, 9)] * 27
    palette[7], palette[26] = COLOURS[0], COLOURS[1]
    right = _palette_mask(tmp_path / "right.png", np.array([[7, 26]]), palette)
    assert IdLabels(ids, CLASSES)(right).tolist() == [[0, 1]]
    palette[7], palette[26] = palette[26], palette[7]
    swapped = _palette_mask(tmp_path / "swapped.png", np.array([[7, 26]]), palette)
    with pytest.raises(InputError, match="id 7 is road"):
        IdLabels(ids, CLASSES)(swapped)


@pytest.mark.parametrize(
    ("ids", "palette"),
    [
        ([[0, 1, 2]], [(1, 2, 3), (4, 5, 6), (7, 8, 9)]),  # colours of nobody
        ([[0, 1, 2]], [(value, value, value) for value in range(1, 256)]),  # grey
        ([[0, 1]], [COLOURS[0], COLOURS[1], COLOURS[3], COLOURS[2]]),  # swapped where nothing is
        ([[0, 255]], [COLOURS[0]] + [COLOURS[1]] * 255),  # what does not count may have any colour
    ],
)
def test_palettes_that_tell_nothing_are_taken(
    ids: list[list[int]], palette: list[tuple[int, ...]], tmp_path: Path
) -> None:
    path = _palette_mask(tmp_path / "m.png", np.array(ids), palette)
    assert IdLabels(IDS, CLASSES)(path).tolist() == [[IGNORE if value == 255 else value for value in ids[0]]]


def test_without_colours_of_its_own_the_palette_does_not_matter(tmp_path: Path) -> None:
    path = _palette_mask(tmp_path / "m.png", np.array([[1, 0]]), [COLOURS[1], COLOURS[0]])
    assert IdLabels(IDS)(path).tolist() == [[1, 0]]


@pytest.mark.parametrize(
    ("values", "told"),
    [([4], "label id 4 is out of range"), ([4, 9, 200], "ids 4, 9, 200 are out"), (range(4, 20), "8 and 11 more are")],
)
def test_all_unnamed_values_are_told(values: list[int], told: str, tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, *values]], np.uint8)).save(tmp_path / "m.png")
    with pytest.raises(InputError, match=told):
        IdLabels(IDS)(tmp_path / "m.png")


def test_all_unnamed_colours_are_told(tmp_path: Path) -> None:
    colours = ColourLabels(dict(zip(COLOURS, range(4), strict=True)))
    Image.fromarray(np.array([[COLOURS[0], (1, 1, 1), (2, 2, 2)]], np.uint8)).save(tmp_path / "m.png")
    with pytest.raises(InputError, match=r"label colours \[1, 1, 1\], \[2, 2, 2\] belong to no class"):
        colours(tmp_path / "m.png")
