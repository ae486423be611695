"""Street images without labels: whatever lies in a folder, and what IDD-Lite's coarse labels say of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fake_data import Array, save

from bcpnet.data.unlabelled import Unlabelled
from bcpnet.errors import InputError
from bcpnet.labels import CAMVID, CITYSCAPES, IGNORE, ClassSet, classes_within

# IDD-Lite's seven groups (Mishra et al. 2019), and what CamVid would call their pixels.
GROUPS = [
    "road",
    "pavement tree",
    "pedestrian bicyclist",
    "car bicyclist",
    "pole sign fence building pavement",
    "building tree",
    "sky",
]


def _image(seed: int = 0, size_hw: tuple[int, int] = (12, 20)) -> Array:
    return np.random.default_rng(seed).integers(0, 256, (*size_hw, 3), np.uint8)


def test_images_are_found_at_any_depth(tmp_path: Path) -> None:
    """In the order of their paths; labels, hidden files and what is no image are left out."""
    expected = {}
    for seed, name in enumerate(["b.png", "a/c.PNG", "a/images/d.png", "a/b/c/e.png", "labels.png"]):
        expected[tmp_path / name] = _image(seed, (12 + seed, 20))
        save(expected[tmp_path / name], tmp_path / name)
    for name in ("labels/f.png", "a/labels/g.png", "a/.h.png"):
        save(_image(9), tmp_path / name)
    (tmp_path / "a" / "notes.txt").write_text("no image")
    found = Unlabelled(tmp_path, CAMVID)
    assert found.classes == CAMVID
    assert found.paths == sorted(expected)
    assert len(found) == 5
    for index, path in enumerate(found.paths):
        sample = found[index]
        np.testing.assert_array_equal(sample.image, expected[path])
        assert sample.label is None
        assert sample.name == str(path)


def test_photographs_are_images(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.jpeg", "c.JPG"):
        save(_image(), tmp_path / name)
    found = Unlabelled(tmp_path, CAMVID)
    assert [found[index].image.shape for index in range(3)] == [(12, 20, 3)] * 3


@pytest.mark.parametrize("content", ["nothing", "labels", "text", "no folder"])
def test_a_folder_without_images_is_refused(tmp_path: Path, content: str) -> None:
    root = tmp_path / "streets"
    if content != "no folder":
        root.mkdir()
    if content == "labels":
        save(_image(), root / "labels" / "a.png")
    elif content == "text":
        (root / "a.txt").write_text("no image")
    with pytest.raises(InputError) as raised:
        Unlabelled(root, CAMVID)
    assert str(raised.value) == f"{root}: no images (.png .jpg .jpeg) in it"


def test_a_broken_image_is_named(tmp_path: Path) -> None:
    save(_image(), tmp_path / "a.png")
    (tmp_path / "b.png").write_text("no image")
    found = Unlabelled(tmp_path, CAMVID)
    assert found[0].image.shape == (12, 20, 3)
    with pytest.raises(InputError, match=r"b\.png: not an image"):
        found[1]


def _with_coarse(root: Path, ids: Array, classes: ClassSet = CAMVID) -> Unlabelled:
    """The folder of one image that has a coarse label."""
    save(_image(size_hw=(ids.shape[0], ids.shape[1])), root / "town" / "images" / "a.jpg")
    save(ids, root / "town" / "labels" / "a.png")
    return Unlabelled(root, classes)


def _all_ids() -> Array:
    """Every group once, and what is ignored, in random places."""
    return np.random.default_rng(0).permutation([*range(7), IGNORE]).astype(np.uint8).reshape(2, 4).repeat(3, 0)


def test_a_coarse_label_says_what_is_possible(tmp_path: Path) -> None:
    ids = _all_ids()
    possible = _with_coarse(tmp_path, ids).possible(0)
    assert possible is not None
    assert possible.dtype == np.bool_
    assert possible.shape == (11, *ids.shape)
    for (row, column), value in np.ndenumerate(ids):
        allowed = {
            name for name, is_possible in zip(CAMVID.names, possible[:, row, column], strict=True) if is_possible
        }
        assert allowed == set(CAMVID.names if value == IGNORE else GROUPS[value].split())


def test_where_there_is_no_coarse_label_all_is_possible(tmp_path: Path) -> None:
    ids = np.zeros((12, 20), np.uint8)
    for name in ("images/a.png", "a.png", "other/images/a.png", "images/b.png", "images/deeper/c.png"):
        save(_image(), tmp_path / name)
    for name in ("labels/a.png", "labels/c.png", "other/a.png"):
        save(ids, tmp_path / name)
    found = Unlabelled(tmp_path, CAMVID)
    bounded = {
        str(path.relative_to(tmp_path)) for index, path in enumerate(found.paths) if found.possible(index) is not None
    }
    assert bounded == {"images/a.png"}


def test_classes_that_idd_lite_does_not_tell_apart_are_not_bounded(tmp_path: Path) -> None:
    shades = ClassSet("shades", ("dark", "light"), ((0, 0, 0), (255, 255, 255)))
    possible = _with_coarse(tmp_path, _all_ids(), shades).possible(0)
    assert possible is None or possible.all()


def test_no_group_excludes_a_part_of_what_it_holds(tmp_path: Path) -> None:
    """Cityscapes' trucks are among CamVid's cars, so where a car is possible they are."""
    ids = _all_ids()
    possible = _with_coarse(tmp_path, ids, CITYSCAPES).possible(0)
    if possible is None:
        return
    for (row, column), value in np.ndenumerate(ids):
        names = CAMVID.names if value == IGNORE else GROUPS[value].split()
        for name in names:
            for part in classes_within(CAMVID, CITYSCAPES)[CAMVID.names.index(name)]:
                assert possible[part, row, column], (name, CITYSCAPES.names[part])


@pytest.mark.parametrize("value", [7, 33, 254])
def test_a_label_of_something_else_is_refused(tmp_path: Path, value: int) -> None:
    found = _with_coarse(tmp_path, np.full((4, 6), value, np.uint8))
    with pytest.raises(InputError, match=rf"a\.png: label id {value} is out of range, expected 0\.\.6, 255"):
        found.possible(0)
    save(_image(), tmp_path / "town" / "labels" / "a.png")
    with pytest.raises(InputError, match=r"a\.png: label is RGB"):
        found.possible(0)
