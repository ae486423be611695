"""The table of datasets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from fake_data import Samples, assert_equal_samples, make_camvid, make_cityscapes, make_folder

from bcpnet.data import DATASETS, open_dataset
from bcpnet.errors import InputError, UsageError

# Dataset -> makes a small one in a folder; gives its root and its samples. A new dataset adds a line.
MAKERS: dict[str, Callable[[Path], tuple[Path, Samples]]] = {
    "camvid": lambda folder: (folder, make_camvid(folder, "folders")),
    "cityscapes": lambda folder: (folder, make_cityscapes(folder)),
    "folder": make_folder,
}


@pytest.mark.parametrize("name", MAKERS)
def test_opens_by_name(name: str, tmp_path: Path) -> None:
    root, samples = MAKERS[name](tmp_path)
    assert_equal_samples(open_dataset(name, root, "val"), samples["val"])


def test_no_dataset_is_left_out() -> None:
    assert set(DATASETS) == {*MAKERS, "streets"}
    assert len(open_dataset("streets", None, "val")) > 0


def test_wrong_calls(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"unknown dataset 'nonsense'; there are {', '.join(DATASETS)}$"):
        open_dataset("nonsense", tmp_path, "val")
    with pytest.raises(UsageError, match="dataset camvid needs --root, its folder"):
        open_dataset("camvid", None, "val")
    with pytest.raises(UsageError, match="dataset folder needs --root, its YAML file"):
        open_dataset("folder", None, "val")
    with pytest.raises(InputError, match="no CamVid here"):
        open_dataset("camvid", tmp_path, "val")
