"""A class set that exists can be drawn and told apart; the tables that ship are consistent."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bcpnet.labels import CAMVID, CAMVID_32, CITYSCAPES, ClassSet, classes_within

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


# What each of Cityscapes' classes is called among the 32 of the original CamVid.
IN_CAMVIDS_WORDS = {
    "road": "Road", "sidewalk": "Sidewalk", "building": "Building", "wall": "Wall", "fence": "Fence",
    "pole": "Column_Pole", "traffic light": "TrafficLight", "traffic sign": "SignSymbol", "vegetation": "Tree",
    "terrain": "VegetationMisc", "sky": "Sky", "person": "Pedestrian", "rider": "Bicyclist", "car": "Car",
    "truck": "Truck_Bus", "bus": "Truck_Bus", "train": "Train", "motorcycle": "MotorcycleScooter",
    "bicycle": "Bicyclist",
}  # fmt: skip


def test_cityscapes_classes_join_those_that_camvids_own_do() -> None:
    """By the published grouping of CamVid's 32 classes into 11."""
    expected: list[list[int]] = [[] for _ in CAMVID.names]
    for index, name in enumerate(CITYSCAPES.names):
        _, train_id = CAMVID_32[IN_CAMVIDS_WORDS[name]]
        assert train_id is not None
        expected[train_id].append(index)
    assert classes_within(CAMVID, CITYSCAPES) == expected
    assert all(expected)


def _class_set(names: list[str]) -> ClassSet:
    return ClassSet("some", tuple(names), tuple((index, 0, 0) for index in range(len(names))))


some_names = st.lists(st.sampled_from([*CAMVID.names, *CITYSCAPES.names]), min_size=1, max_size=20, unique=True)


@given(names=some_names, others=some_names)
def test_elsewhere_a_class_is_known_by_its_name(names: list[str], others: list[str]) -> None:
    within = classes_within(_class_set(names), _class_set(others))
    assert [[others[index] for index in ids] for ids in within] == [[name] * (name in others) for name in names]


@pytest.mark.parametrize("classes", [CAMVID, CITYSCAPES])
def test_every_class_means_itself(classes: ClassSet) -> None:
    assert classes_within(classes, classes) == [[index] for index in range(len(classes))]


def test_a_class_of_camvid_is_no_part_of_one_of_cityscapes() -> None:
    """Its cars are trucks too: only what is called the same is the same."""
    found = classes_within(CITYSCAPES, CAMVID)
    named = {CITYSCAPES.names[index]: [CAMVID.names[i] for i in ids] for index, ids in enumerate(found) if ids}
    assert named == {name: [name] for name in ("road", "building", "fence", "pole", "sky", "car")}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("x" * 201, "201 characters, at most 200"),
        ("x" * 3_000_000, "3000000 characters, at most 200"),
        ("two\nlines", r"'\\n' cannot be written in a name"),
        ("bell\x07", r"'\\x07' cannot be written"),
        ("half \ud83d", r"'\\ud83d' cannot be written"),
        ("para\u2029graph", "cannot be written"),
        (7, "7: not a text"),
        (None, "None: not a text"),
        (["x" * 10**6], "not a text"),
    ],
)
def test_names_that_cannot_be_written_out(name: Any, message: str) -> None:
    for fields, what in (((name, ("a",)), "name of the class set "), (("set", (name,)), "class name ")):
        with pytest.raises(ValueError, match=message) as caught:
            ClassSet(*fields, ((1, 2, 3),))
        assert str(caught.value).startswith(what)
        assert len(str(caught.value)) < 200
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["", "x" * 200, "道路", "rue à double sens", "می‌خواهم", "👩‍🚒 fire engine", "شارع"])
def test_names_in_any_language_can_be_used(name: str) -> None:
    assert ClassSet(name, (name, "other"), COLOURS).names == (name, "other")
