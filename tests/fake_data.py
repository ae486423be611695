"""Small datasets in the true layouts, made by script: labelled noise, the same for the same seed.

Each function writes a tree and returns the samples that reading it must give, by split.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import yaml
from PIL import Image

from bcpnet.data.base import Sample
from bcpnet.labels import CAMVID_32, CITYSCAPES_LABEL_IDS, IGNORE

Array = npt.NDArray[np.uint8]
Samples = dict[str, list[Sample]]

CAMVID_NAMES = {
    "train": ["0001TP_006690", "0001TP_008520", "0006R0_f00930", "0016E5_00390"],
    "val": ["0016E5_07959", "0016E5_08159"],
    "test": ["0001TP_008550", "Seq05VD_f00000"],
}


def save(array: Array, path: Path) -> Path:
    """Writes an image, making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)
    return path


def make_camvid(
    root: Path, layout: str, size_hw: tuple[int, int] = (36, 48), *, test_labels: bool = True, seed: int = 0
) -> Samples:
    """CamVid as "folders", "segnet" or "original"; one seed gives the same samples in every layout."""
    rng = np.random.default_rng(seed)
    samples: Samples = {}
    for split, names in CAMVID_NAMES.items():
        samples[split] = []
        for name in names:
            image = rng.integers(0, 256, (*size_hw, 3), np.uint8)
            classes = _patches(rng, size_hw, len(CAMVID_32))
            colours = np.array([colour for colour, _ in CAMVID_32.values()], np.uint8)
            train_ids = np.array([IGNORE if i is None else i for _, i in CAMVID_32.values()], np.uint8)
            label = train_ids[classes]
            has_label = test_labels or split != "test"
            samples[split].append(Sample(image, label if has_label else None, name))
            if layout == "original":
                save(image, root / "701_StillsRaw_full" / f"{name}.png")
                label_path, stored = root / "LabeledApproved_full" / f"{name}_L.png", colours[classes]
            else:
                folders = (split, f"{split}annot") if layout == "segnet" else (f"{split}/images", f"{split}/labels")
                save(image, root / folders[0] / f"{name}.png")
                label_path = root / folders[1] / f"{name}.png"
                stored = np.where(label == IGNORE, 11, label).astype(np.uint8)
            if has_label:
                save(stored, label_path)
    return samples


def make_cityscapes(root: Path, size_hw: tuple[int, int] = (32, 64), *, seed: int = 0) -> Samples:
    """Cityscapes fine: two cities in train, one in val and test; every label id 0..33 occurs."""
    rng = np.random.default_rng(seed)
    table = np.full(256, IGNORE, np.uint8)
    table[list(CITYSCAPES_LABEL_IDS)] = range(19)
    cities = {"train": ["aachen", "zurich"], "val": ["lindau"], "test": ["berlin"]}
    samples: Samples = {}
    for split, names in cities.items():
        samples[split] = []
        for city in names:
            for frame in range(2):
                name = f"{city}_{frame:06}_000019"
                image = rng.integers(0, 256, (*size_hw, 3), np.uint8)
                ids = _patches(rng, size_hw, 34)
                save(image, root / "leftImg8bit" / split / city / f"{name}_leftImg8bit.png")
                save(ids, root / "gtFine" / split / city / f"{name}_gtFine_labelIds.png")
                samples[split].append(Sample(image, None if split == "test" else table[ids], name))
    return samples


FOLDER_CLASSES = [("road", (128, 64, 128)), ("car", (0, 0, 142)), ("sky", (70, 130, 180))]


def make_folder(
    root: Path, masks: str = "index", size_hw: tuple[int, int] = (24, 40), *, seed: int = 0
) -> tuple[Path, Samples]:
    """A folder dataset of three classes with masks by "index" or "colour"; also returns its YAML file."""
    rng = np.random.default_rng(seed)
    colours = np.array([*(colour for _, colour in FOLDER_CLASSES), (0, 0, 0)], np.uint8)
    samples: Samples = {"train": [], "val": [], "test": []}
    for split, count in {"train": 3, "val": 2, "test": 2}.items():
        for index in range(count):
            name = f"frame{index}"
            image = rng.integers(0, 256, (*size_hw, 3), np.uint8)
            classes = _patches(rng, size_hw, 4)
            label = np.where(classes == 3, IGNORE, classes).astype(np.uint8)
            save(image, root / split / f"{name}.png")
            if split != "test":
                save(label if masks == "index" else colours[classes], root / f"{split}_masks" / f"{name}.png")
            samples[split].append(Sample(image, None if split == "test" else label, name))
    description = {
        "name": "fake",
        "classes": [{"name": name, "colour": list(colour)} for name, colour in FOLDER_CLASSES],
        "masks": masks,
        "splits": {
            "train": {"images": "train/*.png", "masks": "train_masks/{stem}.png"},
            "val": {"images": "val/*.png", "masks": "val_masks/{stem}.png"},
            "test": {"images": "test/*.png"},
        },
    }
    if masks == "colour":
        description["ignore"] = [[0, 0, 0]]
    path = root / "dataset.yaml"
    path.write_text(yaml.safe_dump(description, sort_keys=False))
    return path, samples


def assert_equal_samples(dataset: object, expected: list[Sample]) -> None:
    """`dataset` is the sequence `expected`, pixel by pixel."""
    actual = list(dataset)  # type: ignore[call-overload]
    assert [sample.name for sample in actual] == [sample.name for sample in expected]
    for got, want in zip(actual, expected, strict=True):
        assert got.image.dtype == np.uint8
        np.testing.assert_array_equal(got.image, want.image)
        assert (got.label is None) == (want.label is None)
        if got.label is not None:
            assert got.label.dtype == np.uint8
            np.testing.assert_array_equal(got.label, want.label)


def _patches(rng: np.random.Generator, size_hw: tuple[int, int], count: int) -> Array:
    """Random values 0..count-1 in patches of 4 x 4 pixels; all of them occur where there are patches enough."""
    height, width = (-(-side // 4) for side in size_hw)
    values = rng.permutation(np.arange(height * width) % count).reshape(height, width)
    return values.repeat(4, 0).repeat(4, 1)[: size_hw[0], : size_hw[1]].astype(np.uint8)
