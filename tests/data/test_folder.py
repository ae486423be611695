"""The folder dataset: what its YAML says, and how it says no."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from fake_data import assert_equal_samples, make_folder, save

import bcpnet.data.folder
from bcpnet.data.folder import Folder
from bcpnet.errors import InputError, UsageError


@pytest.mark.parametrize("masks", ["index", "colour"])
def test_samples_by_split(tmp_path: Path, masks: str) -> None:
    path, samples = make_folder(tmp_path, masks)
    for split, expected in samples.items():
        dataset = Folder(path, split)
        assert dataset.classes.names == ("road", "car", "sky")
        assert dataset.classes.colours[1] == (0, 0, 142)
        assert_equal_samples(dataset, expected)


def test_the_example_in_the_docstring_is_valid(tmp_path: Path) -> None:
    documentation = bcpnet.data.folder.__doc__ or ""
    example = documentation.split("\n\n")[1]
    path = tmp_path / "my.yaml"
    path.write_text(example)
    mask = np.array([[7, 26, 1, 0, 255]], np.uint8)
    image = np.zeros((1, 5, 3), np.uint8)
    save(image, tmp_path / "train/images/a.jpg")
    save(mask, tmp_path / "train/masks/a.png")
    save(image, tmp_path / "test/b.jpg")
    label = Folder(path, "train")[0].label
    assert label is not None
    assert label.tolist() == [[0, 1, 2, 255, 255]]
    assert Folder(path, "test")[0].label is None
    assert Folder(path, "train").classes.names == ("road", "car", "other")


def test_default_colours_are_distinct_for_every_number_of_classes(tmp_path: Path) -> None:
    path, _ = make_folder(tmp_path)
    change(path, classes=[f"class {index}" for index in range(255)])
    colours = Folder(path, "train").classes.colours
    assert len(set(colours)) == 255
    assert colours[:2] == ((128, 0, 0), (0, 128, 0))  # Pascal VOC's colour map, from its second entry on
    assert (0, 0, 0) not in colours


def test_root_is_relative_to_the_file(tmp_path: Path) -> None:
    path, samples = make_folder(tmp_path / "images")
    moved = path.rename(tmp_path / "dataset.yaml")
    change(moved, root="images")
    assert_equal_samples(Folder(moved, "val"), samples["val"])


def test_ids_may_claim_255(tmp_path: Path) -> None:
    path, _ = make_folder(tmp_path)
    change(path, ids={0: "sky", 1: "car", 2: 0, 255: "road"})
    save(np.array([[0, 1, 2, 255]], np.uint8).repeat(10, 1).repeat(24, 0), tmp_path / "val_masks/frame0.png")
    label = Folder(path, "val")[0].label
    assert label is not None
    assert label[0, ::10].tolist() == [2, 1, 0, 0]


BAD_ENTRIES: list[tuple[dict[str, Any], str]] = [
    ({"colour": 1}, "the file: unknown key 'colour'; known are name, classes"),
    ({"name": None}, "the file: no key 'name'"),
    ({"name": True}, "name: need a text, in quotes .* True"),
    ({"classes": []}, "classes: need a list of 1 to 255"),
    ({"classes": ["x"] * 256}, "classes: need a list of 1 to 255"),
    ({"classes": ["road", "road"]}, r"classes\[1\]\.name: 'road' is that of classes\[0\]"),
    ({"classes": [7]}, r"classes\[0\]\.name: need a text"),
    ({"classes": [{"name": "a", "color": [1, 2, 3]}]}, r"classes\[0\]: unknown key 'color'"),
    ({"classes": [{"name": "a", "colour": [1, 2]}]}, r"classes\[0\]\.colour: \[1, 2\] is not a colour"),
    ({"classes": [{"name": "a", "colour": [1, 2, 256]}]}, r"classes\[0\]\.colour: 256 is not a number 0\.\.255"),
    ({"classes": [{"name": n, "colour": [1, 2, 3]} for n in "ab"]}, r"classes\[1\]\.colour: \[1, 2, 3\] is that of"),
    ({"classes": [{"name": "a", "colour": [1, 2, 3]}, "b"]}, r"classes\[1\]: either every class has a colour"),
    ({"masks": "rgb"}, "masks: 'rgb' is neither index nor colour"),
    ({"masks": "colour", "classes": ["a", "b"]}, "masks: masks in colours need a colour for every class"),
    ({"masks": "colour", "ids": {1: 0}}, "ids: belongs to index masks"),
    ({"masks": "colour", "ignore": [0]}, r"ignore\[0\]: 0 is not a colour"),
    ({"masks": "colour", "ignore": [[0, 0, 142]]}, r"ignore\[0\]: \[0, 0, 142\] is the colour of a class"),
    ({"ignore": 11}, "ignore: need a list"),
    ({"ignore": [300]}, r"ignore\[0\]: 300 is not a number 0\.\.255"),
    ({"ignore": [2]}, r"ignore\[0\]: 2 is the value of a class"),
    ({"ids": {}}, "ids: need value: class"),
    ({"ids": {7: "raod"}}, r"ids\.7: 'raod' is neither the name nor the train id of a class"),
    ({"ids": {7: 3}}, r"ids\.7: 3 is neither"),
    ({"ids": {256: 0}}, r"ids\.256: 256 is not a number"),
    ({"splits": {}}, "splits: need split"),
    ({"splits": {"train": "train/*.png"}}, r"splits\.train: need images"),
    ({"splits": {"train": {"images": "train/*.png", "labels": "x"}}}, r"splits\.train: unknown key 'labels'"),
    ({"splits": {"train": {"images": "/train/*.png"}}}, r"splits\.train\.images: /train/.* is absolute"),
    ({"splits": {"train": {"images": "train/*.bmp"}}}, r"splits\.train\.images: no file matches .*bmp"),
    ({"splits": {"train": {"images": "train/*.png", "masks": "m/*.png"}}}, r"splits\.train\.masks: .* no \{stem\}"),
    ({"root": "nowhere"}, "no file matches .*nowhere"),
]


@pytest.mark.parametrize(("entries", "message"), BAD_ENTRIES, ids=[message[:40] for _, message in BAD_ENTRIES])
def test_a_bad_entry_is_one_line_that_names_it(tmp_path: Path, entries: dict[str, Any], message: str) -> None:
    path, _ = make_folder(tmp_path)
    change(path, **entries)
    with pytest.raises(InputError, match=message) as caught:
        Folder(path, "train")
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: a\nname: b\n", "line 1: .* key is there twice"),
        ("ids: {7: 0, 7: 1}", "key is there twice"),
        ("name: [", "line 1: not the YAML it should be"),
        ("", "the file: need name, classes, splits"),
        ("- a\n", "the file: need name, classes, splits"),
        ("? [a, b]\n: c\n", "not the YAML"),
        ("\x00\x01", "not a YAML text file"),
    ],
)
def test_what_is_not_such_a_file_at_all(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "dataset.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        Folder(path, "train")
    assert "\n" not in str(caught.value)


def test_missing_files(tmp_path: Path) -> None:
    path, _ = make_folder(tmp_path)
    with pytest.raises(UsageError, match="no split 'tset'; it has train, val, test"):
        Folder(path, "tset")
    with pytest.raises(InputError, match=r"nowhere\.yaml: cannot read: No such file"):
        Folder(tmp_path / "nowhere.yaml", "train")
    with pytest.raises(InputError, match="cannot read: Is a directory"):
        Folder(tmp_path, "train")
    (tmp_path / "train_masks/frame1.png").unlink()
    with pytest.raises(InputError, match=r"train_masks/frame1\.png: no such label file, for image .*frame1\.png"):
        Folder(path, "train")
    change(path, splits={"train": {"images": "**/*.png"}})
    with pytest.raises(InputError, match=r"frame0\.png: same name as .*frame0\.png"):
        Folder(path, "train")


def change(path: Path, **entries: Any) -> None:
    """Sets entries of a YAML file; None takes one away."""
    description = {**yaml.safe_load(path.read_text()), **entries}
    path.write_text(yaml.safe_dump({k: v for k, v in description.items() if v is not None}, sort_keys=False))
