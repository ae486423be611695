"""Cityscapes, fine annotations, 19 classes (Cordts et al. 2016): `leftImg8bit/SPLIT/CITY`, `gtFine/SPLIT/CITY`."""

from __future__ import annotations

from pathlib import Path

from bcpnet.data.files import FileDataset, IdLabels, check_split, with_ignore
from bcpnet.data.find import Item, find_files
from bcpnet.errors import InputError
from bcpnet.labels import CITYSCAPES, CITYSCAPES_LABEL_IDS, CITYSCAPES_MAX_LABEL_ID, IGNORE

SPLITS = ("train", "val", "test")

# Label ids without a train id are ignored; -1 (licence plate) is 255 in the files.
_TRAIN_IDS = with_ignore(
    {
        **dict.fromkeys(range(CITYSCAPES_MAX_LABEL_ID + 1), IGNORE),
        **{label_id: train_id for train_id, label_id in enumerate(CITYSCAPES_LABEL_IDS)},
    }
)


class Cityscapes(FileDataset):
    """One split of Cityscapes; a sample's name is its file name up to `_leftImg8bit.png`."""

    def __init__(self, root: Path, split: str, complete: bool = True) -> None:
        """`split`: "train" (2,975 images), "val" (500) or "test" (1,525, read without labels).

        The public test labels are dummies in which every pixel is ignored; the true ones are held back.
        `complete`: as of `FileDataset`.

        Raises:
            UsageError: no such split.
            InputError: not that layout at `root`, or a file is missing.
        """
        check_split(split, SPLITS, "Cityscapes")
        root = Path(root)
        suffix = "_leftImg8bit.png"
        images = find_files(root / "leftImg8bit" / split, f"*/*{suffix}")
        if not images:
            raise InputError(
                f"{root}: no Cityscapes {split} split here; looked for leftImg8bit/{split}/CITY/*{suffix} "
                f"and gtFine/{split}/CITY/*_gtFine_labelIds.png"
            )
        items = []
        for image in images:
            name = image.name.removesuffix(suffix)
            label = root / "gtFine" / split / image.parent.name / f"{name}_gtFine_labelIds.png"
            items.append(Item(name, image, None if split == "test" else label))
        super().__init__(CITYSCAPES, items, IdLabels(_TRAIN_IDS, CITYSCAPES), complete)
