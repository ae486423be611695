"""A class set that exists can be drawn and told apart; the tables that ship are consistent."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bcpnet.labels import CAMVID, CITYSCAPES, ClassSet

COLOURS = ((0, 0, 0), (9, 9, 9))


@pytest.mark.parametrize(
    ("names", "colours", "message"),
    [
        ((), (), "0 class names"),
        (("a",), COLOURS, "1 class names and 2 colours"),
        (("a", "a"), COLOURS, "'a' stands there more than once"),
        (("a", 7), COLOURS, "class name 7: not a text"),
        (("a", ["b"]), COLOURS, "not a text"),
        (("a", None), COLOURS, "class name None"),
        (("a", "b"), ((0, 0, 0), (0, 300, 0)), r"colour \[0, 300, 0\]: need red, green and blue"),
        (("a", "b"), ((0, 0, 0), (0, -1, 0)), r"colour \[0, -1, 0\]"),
        (("a", "b"), ((0, 0, 0), (1,)), r"colour \[1\]"),
        (("a", "b"), ((0, 0, 0), (1, 2, 3, 4)), r"colour \[1, 2, 3, 4\]"),
        (("a", "b"), ((0, 0, 0), (1, 2.5, 3)), r"colour \[1, 2.5, 3\]"),
        (("a", "b"), ((0, 0, 0), ("1", "2", "3")), r"colour \['1', '2', '3'\]"),
    ],
)
def test_no_set_of_wrong_classes(names: Any, colours: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ClassSet("wrong", names, colours)


@pytest.mark.parametrize("classes", [CAMVID, CITYSCAPES])
def test_the_palette_is_the_colours_then_black(classes: ClassSet) -> None:
    palette = classes.palette()
    assert palette.shape == (256, 3)
    assert palette.dtype == np.uint8
    np.testing.assert_array_equal(palette[: len(classes)], classes.colours)
    assert not palette[len(classes) :].any()
