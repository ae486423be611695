"""Datasets: plain sequences of (image, label, name), NumPy only. To add one: a file here, a line in DATASETS."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from bcpnet.data import folder
from bcpnet.data.base import Dataset, Sample
from bcpnet.data.camvid import Camvid
from bcpnet.data.cityscapes import Cityscapes
from bcpnet.data.folder import Folder
from bcpnet.data.streets import Streets
from bcpnet.errors import UsageError

__all__ = ["DATASETS", "Dataset", "Sample", "open_dataset", "splits_of"]


class _Opener(Protocol):
    def __call__(self, root: Path, split: str, complete: bool, /) -> Dataset: ...


# The root of a folder dataset is its YAML file; streets needs none.
DATASETS: dict[str, _Opener] = {
    "camvid": Camvid,
    "cityscapes": Cityscapes,
    "folder": Folder,
    "streets": lambda _root, split, _complete: Streets(split),
}


def splits_of(name: str, root: Path | None) -> list[str]:
    """The splits that the dataset called `name` has, as far as it says; those of `camvid` may not all be there.

    Raises:
        UsageError: unknown name, or no root where one is needed.
        InputError: the YAML file of a folder dataset is not as described.
    """
    root = _checked_root(name, root)
    return folder.splits_of(root) if name == "folder" else ["train", "val", "test"]


def open_dataset(name: str, root: Path | None, split: str, *, complete: bool = True) -> Dataset:
    """One split of the dataset called `name` in DATASETS.

    Args:
        name: of the dataset.
        root: its folder; of `folder`, its YAML file.
        split: of those it has.
        complete: False for a dataset that is to be checked: that an image or a label file is missing is told when it is
            read, not here.

    Raises:
        UsageError: unknown name or split, or no root where one is needed.
        InputError: what lies at `root` is not that dataset, or a file is missing.
    """
    root = _checked_root(name, root)
    return DATASETS[name](root, split, complete)


def _checked_root(name: str, root: Path | None) -> Path:
    if name not in DATASETS:
        raise UsageError(f"unknown dataset '{name}'; there are {', '.join(DATASETS)}")
    if root is None:
        if name != "streets":
            raise UsageError(f"dataset {name} needs --root, its {'YAML file' if name == 'folder' else 'folder'}")
        return Path()
    return Path(root)
