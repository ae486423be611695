"""Which splits weights have seen, as their metadata tells in `trained_on`: a score on one of those is too high."""

from __future__ import annotations

from collections.abc import Sequence

from bcpnet.data.camvid import DRIVES
from bcpnet.labels import ClassSet

UNKNOWN = "unknown"  # among the splits that were seen: there was more, and nobody knows what

# What CamVid's splits consist of: val is part of the drive 0016E5, the rest of that and the other drives are train.
_VAL_DRIVE = "0016E5"
_TRAINVAL = frozenset({*DRIVES, "val"})
_OF_DRIVE = {drive: frozenset({drive, "val"} if drive == _VAL_DRIVE else {drive}) for drive in DRIVES}
_CAMVID = {
    "train": frozenset(DRIVES),
    "trainval": _TRAINVAL,
    **_OF_DRIVE,
    **{f"without-{drive}": _TRAINVAL - parts for drive, parts in _OF_DRIVE.items()},
}


def split_name(dataset: str, split: str, classes: ClassSet) -> str:
    """ "DATASET/SPLIT", for example "camvid/train"; of dataset `folder`, the name in its YAML file stands for it."""
    return f"{classes.name if dataset == 'folder' else dataset}/{split}"


def seen(trained_on: Sequence[str], split: str) -> bool | None:
    """Whether weights that were `trained_on` these splits have seen images of `split`; None where nobody knows.

    All are named as `split_name` does. Only CamVid's splits share images; those of other datasets stand alone.
    """
    if any(_parts(split) & _parts(other) for other in trained_on):
        return True
    return None if UNKNOWN in trained_on or not trained_on else False


def _parts(split: str) -> frozenset[str]:
    dataset, _, name = split.rpartition("/")
    parts = _CAMVID.get(name, {name}) if dataset == "camvid" else {name}
    return frozenset(f"{dataset}/{part}" for part in parts)
