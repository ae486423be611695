"""Two splits count as sharing images where they do: against the images of CamVid."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest

from bcpnet.data.camvid import DRIVES, SPLITS, Camvid
from bcpnet.data.seen import UNKNOWN, seen, split_name
from bcpnet.labels import CAMVID, ClassSet

ALL = (*SPLITS, "trainval", *DRIVES, *(f"without-{drive}" for drive in DRIVES))


def test_as_the_images_of_camvid(camvid_root: Path) -> None:
    names = {split: {item.name for item in Camvid(camvid_root, split).items} for split in ALL}
    for one, other in product(ALL, repeat=2):
        assert seen([f"camvid/{one}"], f"camvid/{other}") == bool(names[one] & names[other]), (one, other)


@pytest.mark.parametrize(
    ("trained_on", "split", "expected"),
    [
        ([], "camvid/val", None),
        ([UNKNOWN], "camvid/val", None),
        ([UNKNOWN, "camvid/train"], "camvid/val", None),
        ([UNKNOWN, "camvid/val"], "camvid/val", True),
        (["camvid/train", "camvid/val"], "camvid/trainval", True),
        (["camvid/train", "camvid/val"], "camvid/test", False),
        (["camvid/train", "camvid/without-0016E5"], "camvid/val", False),
        (["cityscapes/train"], "camvid/train", False),
        (["cityscapes/train"], "cityscapes/val", False),
        (["cityscapes/train", "streets/val"], "streets/val", True),
        (["a/b/train"], "a/b/train", True),
        (["a/b/train"], "a/c/train", False),
        (["unknown/train"], "unknown/val", False),  # a dataset of that name
    ],
)
def test_seen(trained_on: list[str], split: str, expected: bool | None) -> None:
    assert seen(trained_on, split) is expected


def test_a_folder_is_told_by_its_own_name() -> None:
    mine = ClassSet("my-streets", ("a", "b"), ((0, 0, 0), (1, 1, 1)))
    assert split_name("folder", "train", mine) == "my-streets/train"
    assert split_name("camvid", "val", CAMVID) == "camvid/val"
