"""Cityscapes against the official label table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from cityscapesscripts.helpers.labels import labels as official_labels
from fake_data import assert_equal_samples, make_cityscapes, save

from bcpnet.data.cityscapes import Cityscapes
from bcpnet.errors import InputError, UsageError
from bcpnet.labels import CITYSCAPES


def test_samples_by_split(tmp_path: Path) -> None:
    samples = make_cityscapes(tmp_path)
    for split, expected in samples.items():
        assert_equal_samples(Cityscapes(tmp_path, split), expected)


def test_every_label_id_becomes_its_official_train_id(tmp_path: Path) -> None:
    make_cityscapes(tmp_path)
    name = "lindau_000000_000019"
    ids = np.array([[label.id % 256 for label in official_labels]], np.uint8)  # -1 is 255 in a file
    save(ids, tmp_path / "gtFine" / "val" / "lindau" / f"{name}_gtFine_labelIds.png")
    save(np.zeros((*ids.shape, 3), np.uint8), tmp_path / "leftImg8bit" / "val" / "lindau" / f"{name}_leftImg8bit.png")
    label = Cityscapes(tmp_path, "val")[0].label
    assert label is not None
    # -1 (licence plate) has the train id -1 there: ignored too.
    assert label[0].tolist() == [entry.trainId % 256 for entry in official_labels]
    official = {entry.trainId: entry for entry in official_labels if 0 <= entry.trainId < 255}
    assert list(CITYSCAPES.names) == [official[i].name for i in range(19)]
    assert list(CITYSCAPES.colours) == [official[i].color for i in range(19)]


def test_the_dummy_test_labels_are_not_read(tmp_path: Path) -> None:
    make_cityscapes(tmp_path)
    assert all(sample.label is None for sample in Cityscapes(tmp_path, "test"))


def test_wrong_input(tmp_path: Path) -> None:
    make_cityscapes(tmp_path)
    label = tmp_path / "gtFine/val/lindau/lindau_000001_000019_gtFine_labelIds.png"
    save(np.full((32, 64), 34, np.uint8), label)
    with pytest.raises(InputError, match=r"lindau_000001_000019_gtFine_labelIds\.png: label id 34 .*0\.\.33, 255"):
        Cityscapes(tmp_path, "val")[1]
    label.unlink()
    with pytest.raises(InputError, match=r"lindau_000001_000019_gtFine_labelIds\.png: no such label"):
        Cityscapes(tmp_path, "val")
    with pytest.raises(InputError, match=r"leftImg8bit/train/CITY/.*gtFine/train/CITY/"):
        Cityscapes(tmp_path / "leftImg8bit", "train")
    with pytest.raises(UsageError, match="no split 'trainval'"):
        Cityscapes(tmp_path, "trainval")
