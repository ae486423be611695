"""The table of datasets."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_data import assert_equal_samples, make_camvid, make_cityscapes, make_folder

from bcpnet.data import DATASETS, open_dataset
from bcpnet.errors import InputError, UsageError


def test_every_dataset_opens_by_name(tmp_path: Path) -> None:
    roots: dict[str, Path | None] = {"camvid": tmp_path / "camvid", "cityscapes": tmp_path / "cityscapes"}
    samples = {
        "camvid": make_camvid(tmp_path / "camvid", "folders"),
        "cityscapes": make_cityscapes(tmp_path / "cityscapes"),
    }
    roots["folder"], samples["folder"] = make_folder(tmp_path / "folder")
    for name, expected in samples.items():
        assert_equal_samples(open_dataset(name, roots[name], "val"), expected["val"])
    assert len(open_dataset("streets", None, "val")) > 0
    assert set(DATASETS) == {*samples, "streets"}


def test_wrong_calls(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown dataset 'kitti'; there are camvid, cityscapes, folder, streets"):
        open_dataset("kitti", tmp_path, "val")
    with pytest.raises(UsageError, match="dataset camvid needs --root, its folder"):
        open_dataset("camvid", None, "val")
    with pytest.raises(UsageError, match="dataset folder needs --root, its YAML file"):
        open_dataset("folder", None, "val")
    with pytest.raises(InputError, match="no CamVid here"):
        open_dataset("camvid", tmp_path, "val")
