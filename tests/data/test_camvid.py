"""CamVid: three layouts, one dataset; and the real one, where this machine has it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fake_data import CAMVID_NAMES, assert_equal_samples, make_camvid, save

from bcpnet.data.camvid import DRIVES, SPLITS, Camvid, published_split
from bcpnet.errors import InputError, UsageError
from bcpnet.labels import CAMVID_32

LAYOUTS = ["folders", "segnet", "original"]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_samples(tmp_path: Path, layout: str) -> None:
    samples = make_camvid(tmp_path, layout)
    for split, expected in samples.items():
        dataset = Camvid(tmp_path, split)
        assert dataset.layout == layout
        assert len(dataset.classes) == 11
        assert_equal_samples(dataset, expected)
    assert_equal_samples(Camvid(tmp_path, "trainval"), samples["train"] + samples["val"])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_labels_held_back(tmp_path: Path, layout: str) -> None:
    samples = make_camvid(tmp_path, layout, test_labels=False)
    assert_equal_samples(Camvid(tmp_path, "test"), samples["test"])
    assert Camvid(tmp_path, "val")[0].label is not None


@pytest.mark.parametrize("drive", DRIVES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_drive_and_the_others_are_all_that_is_trained_on(tmp_path: Path, layout: str, drive: str) -> None:
    samples = make_camvid(tmp_path, layout)
    whole = samples["train"] + samples["val"]
    of_drive = [sample for sample in whole if sample.name.startswith(f"{drive}_")]
    others = [sample for sample in whole if not sample.name.startswith(f"{drive}_")]
    assert of_drive
    assert others
    assert_equal_samples(Camvid(tmp_path, drive), of_drive)
    assert_equal_samples(Camvid(tmp_path, f"without-{drive}"), others)


def test_drives_go_by_the_split_lists_beside_the_original_frames(tmp_path: Path) -> None:
    """What the lists keep for the test is in no drive, whatever drive it is of."""
    make_camvid(tmp_path, "original")
    lists = {"train": ["0016E5_00390", "Seq05VD_f00000"], "val": ["0006R0_f00930"], "test": ["0016E5_07959"]}
    for split, names in lists.items():
        (tmp_path / f"{split}.txt").write_text("".join(f"{split}/{name}.png\n" for name in names))

    def names(split: str) -> list[str]:
        return [sample.name for sample in Camvid(tmp_path, split)]

    assert names("0016E5") == ["0016E5_00390"]
    assert names("without-0016E5") == ["Seq05VD_f00000", "0006R0_f00930"]
    with pytest.raises(InputError, match=r"no images of CamVid's split 0001TP$"):
        Camvid(tmp_path, "0001TP")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_drive_without_images_is_named(tmp_path: Path, layout: str) -> None:
    make_camvid(tmp_path, layout)
    for path in tmp_path.rglob("0006R0*"):
        path.unlink()
    with pytest.raises(InputError, match=r"no images of CamVid's split 0006R0$"):
        Camvid(tmp_path, "0006R0")
    assert len(Camvid(tmp_path, "without-0006R0")) == 5


@pytest.mark.parametrize(
    "split", ["Seq05VD", "without-Seq05VD", "0016e5", "without-", "without-train", "without-without-0016E5", ""]
)
def test_what_is_no_drive_is_refused(tmp_path: Path, split: str) -> None:
    make_camvid(tmp_path, "folders")
    known = [*SPLITS, "trainval", *DRIVES, *(f"without-{drive}" for drive in DRIVES)]
    with pytest.raises(UsageError) as raised:
        Camvid(tmp_path, split)
    assert str(raised.value) == f"CamVid has no split '{split}'; it has {', '.join(known)}"


def test_grouping_is_the_published_one() -> None:
    # camvidPixelLabelIDs of MathWorks' example, by SegNet's class order; Void alone is ignored.
    groups = [
        "Sky",
        "Bridge Building Wall Tunnel Archway",
        "Column_Pole TrafficCone",
        "Road LaneMkgsDriv LaneMkgsNonDriv",
        "Sidewalk ParkingBlock RoadShoulder",
        "Tree VegetationMisc",
        "SignSymbol Misc_Text TrafficLight",
        "Fence",
        "Car SUVPickupTruck Truck_Bus Train OtherMoving",
        "Pedestrian Child CartLuggagePram Animal",
        "Bicyclist MotorcycleScooter",
    ]
    expected = {name: train_id for train_id, group in enumerate(groups) for name in group.split()}
    assert {name: train_id for name, (_, train_id) in CAMVID_32.items()} == {**expected, "Void": None}
    assert len({colour for colour, _ in CAMVID_32.values()}) == 32


def test_split_lists_beside_the_original_frames_count(tmp_path: Path) -> None:
    samples = make_camvid(tmp_path, "original")
    by_name = {sample.name: sample for split in samples.values() for sample in split}
    lists = {
        "train": ["0016E5_07959"],
        "val": ["Seq05VD_f00000", "0001TP_006690"],
        "test": ["0016E5_00390"],
    }
    for split, names in lists.items():
        lines = [f"/SegNet/CamVid/{split}/{name}.png /SegNet/CamVid/{split}annot/{name}.png" for name in names]
        (tmp_path / f"{split}.txt").write_text("\n".join(lines) + "\n\n")
    for split, names in lists.items():
        assert_equal_samples(Camvid(tmp_path, split), [by_name[name] for name in names])
    (tmp_path / "val.txt").write_text("0001TP_009999.png\n")
    with pytest.raises(InputError, match=r"val\.txt: lists 0001TP_009999"):
        Camvid(tmp_path, "val")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_image_without_label_is_named(tmp_path: Path, layout: str) -> None:
    make_camvid(tmp_path, layout)
    name = CAMVID_NAMES["val"][1]
    (label,) = (
        path
        for path in tmp_path.rglob(f"{name}*.png")
        if set(path.parts) & {"labels", "valannot"} or path.stem.endswith("_L")
    )
    label.unlink()
    with pytest.raises(InputError, match=name):
        Camvid(tmp_path, "val")


def test_wrong_calls(tmp_path: Path) -> None:
    make_camvid(tmp_path / "camvid", "segnet")
    with pytest.raises(UsageError, match="no split 'vall'; it has train, val, test, trainval"):
        Camvid(tmp_path / "camvid", "vall")
    with pytest.raises(InputError, match=r"no CamVid here; looked for .*labels.*annot.*_L\.png"):
        Camvid(tmp_path, "val")
    with pytest.raises(InputError, match="no such folder; looked for"):
        Camvid(tmp_path / "nowhere", "val")
    (tmp_path / "empty" / "train" / "images").mkdir(parents=True)
    with pytest.raises(InputError, match="no images"):
        Camvid(tmp_path / "empty", "train")
    with pytest.raises(InputError, match="no such folder, for the val split"):
        Camvid(tmp_path / "empty", "val")


def test_an_unknown_colour_is_named(tmp_path: Path) -> None:
    make_camvid(tmp_path, "original")
    label = tmp_path / "LabeledApproved_full" / "0016E5_07959_L.png"
    save(np.full((36, 48, 3), (1, 2, 3), np.uint8), label)
    with pytest.raises(InputError, match=r"0016E5_07959_L\.png: label colour \[1, 2, 3\]"):
        Camvid(tmp_path, "val")[0]


@pytest.mark.parametrize(("split", "count"), [("train", 367), ("val", 101), ("test", 233)])
def test_the_real_camvid_splits_by_name(camvid_root: Path, split: str, count: int) -> None:
    dataset = Camvid(camvid_root, split)
    assert len(dataset) == count
    assert {published_split(item.name) for item in dataset.items} == {split}
    assert dataset[count // 2].image.shape == (360, 480, 3)


@pytest.mark.parametrize(("drive", "count"), [("0006R0", 101), ("0001TP", 62), ("0016E5", 305)])
def test_the_real_drives(camvid_root: Path, drive: str, count: int) -> None:
    """Of 468 images; the other 62 of 0001TP are in the test split."""
    assert len(Camvid(camvid_root, drive)) == count
    assert len(Camvid(camvid_root, f"without-{drive}")) == 468 - count


def test_the_real_labels_have_their_known_statistics(camvid_root: Path) -> None:
    counts = np.zeros(256, np.int64)
    for sample in Camvid(camvid_root, "val"):
        assert sample.label is not None
        counts += np.bincount(sample.label.ravel(), minlength=256)
    # Pixels of sky .. bicyclist in val, counted once with Pillow and NumPy alone; void is IGNORE.
    assert counts[:11].tolist() == [
        1601620, 4531180, 98499, 5053176, 1521751, 2851125, 155724, 537197, 304716, 113531, 387010,
    ]  # fmt: skip
    assert counts[255] == 297271
    assert counts.sum() == 101 * 360 * 480
