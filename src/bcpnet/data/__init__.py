"""Datasets: plain sequences of (image, label, name), NumPy only. To add one: a file here, a line in DATASETS."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bcpnet.data.base import Dataset, Sample
from bcpnet.data.camvid import Camvid
from bcpnet.data.cityscapes import Cityscapes
from bcpnet.data.folder import Folder
from bcpnet.data.streets import Streets
from bcpnet.errors import UsageError

__all__ = ["DATASETS", "Dataset", "Sample", "open_dataset"]


# Name -> opener from (root, split). The root of a folder dataset is its YAML file; streets needs none.
DATASETS: dict[str, Callable[[Path, str], Dataset]] = {
    "camvid": Camvid,
    "cityscapes": Cityscapes,
    "folder": Folder,
    "streets": lambda _root, split: Streets(split),
}


def open_dataset(name: str, root: Path | None, split: str) -> Dataset:
    """One split of the dataset called `name` in DATASETS.

    Raises:
        UsageError: unknown name or split, or no root where one is needed.
        InputError: what lies at `root` is not that dataset.
    """
    if name not in DATASETS:
        raise UsageError(f"unknown dataset '{name}'; there are {', '.join(DATASETS)}")
    if root is None:
        if name != "streets":
            raise UsageError(f"dataset {name} needs --root, its {'YAML file' if name == 'folder' else 'folder'}")
        root = Path()
    return DATASETS[name](Path(root), split)
