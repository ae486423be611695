"""The check of a dataset: intact ones pass, each fault is found in the file that has it, and told with what to do."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from fake_data import Samples, make_camvid, make_cityscapes, make_folder, save
from PIL import Image

from bcpnet.data import check as module
from bcpnet.data import open_dataset, splits_of
from bcpnet.data.check import Check, Problem, check
from bcpnet.data.files import FileDataset
from bcpnet.data.look import glance, look, seems_cut
from bcpnet.data.streets import Streets
from bcpnet.labels import IGNORE

MAKERS: dict[str, Callable[[Path], tuple[Path, Samples]]] = {
    "camvid": lambda folder: (folder, make_camvid(folder, "original", (64, 64))),
    "cityscapes": lambda folder: (folder, make_cityscapes(folder)),
    "folder": make_folder,
}


def _opened(name: str, root: Path, *splits: str) -> dict[str, FileDataset]:
    opened = {}
    for split in splits or splits_of(name, root):
        dataset = open_dataset(name, root, split, complete=False)
        assert isinstance(dataset, FileDataset)
        opened[split] = dataset
    return opened


@pytest.mark.parametrize("quick", [False, True])
@pytest.mark.parametrize("name", MAKERS)
def test_an_intact_dataset_has_no_errors_and_its_pixels_are_counted(name: str, quick: bool, tmp_path: Path) -> None:
    root, samples = MAKERS[name](tmp_path)
    done = []
    found = check(_opened(name, root), quick=quick, workers=2, report=lambda *counts: done.append(counts))
    assert found.errors == []
    total = sum(map(len, samples.values()))
    assert done == [(count, total) for count in range(1, total + 1)]
    for split, expected in samples.items():
        facts = found.splits[split]
        labels = [sample.label for sample in expected if sample.label is not None]
        assert (facts.images, facts.labelled, facts.decoded) == (len(expected), len(labels), len(expected))
        values = np.concatenate([label.ravel() for label in labels]) if labels else np.zeros(0)
        assert list(facts.pixels.values()) == [int((values == index).sum()) for index in range(len(facts.pixels))]
        assert facts.ignored == int((values == IGNORE).sum())
        height, width = expected[0].image.shape[:2]
        assert facts.sizes == {f"{width}x{height}": len(expected)}
    assert json.loads(json.dumps(found.as_dict()))["splits"]["train"]["images"] == len(samples["train"])


def _remove(path: Path) -> None:
    path.unlink()


def _dangle(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere")


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _shrink(path: Path) -> None:
    Image.open(path).crop((0, 0, 20, 24)).save(path)


def _unnamed(path: Path) -> None:
    values = np.array(Image.open(path))
    values[:2, :3] = 77
    Image.fromarray(values).save(path)


def _turn(path: Path) -> None:
    image = Image.open(path)
    exif = image.getexif()
    exif[0x112] = 3
    image.save(path, exif=exif)


def _void(path: Path) -> None:
    save(np.full((24, 40), IGNORE, np.uint8), path)


@pytest.mark.parametrize(
    ("damage", "folder", "kind", "what"),
    [
        (_remove, "val_masks", "missing", "no such label file"),
        (_dangle, "val", "missing", "a link to nowhere"),
        (_dangle, "val_masks", "missing", "a link to nowhere"),
        (_cut, "val", "broken", "truncated"),
        (_cut, "val_masks", "broken", "truncated|damaged"),
        (_empty, "val", "broken", "empty"),
        (_empty, "val_masks", "broken", "empty"),
        (_shrink, "val_masks", "size", "20x24 pixels .* image 40x24"),
        (_shrink, "val", "size", "40x24 pixels .* image 20x24"),
        (_unnamed, "val_masks", "value", "label id 77"),
        (_turn, "val", "orientation", "EXIF"),
        (_void, "val_masks", "empty", "no pixel that counts"),
    ],
)
@pytest.mark.parametrize("quick", [False, True])
def test_each_fault_is_found_in_its_file(
    damage: Callable[[Path], None], folder: str, kind: str, what: str, quick: bool, tmp_path: Path
) -> None:
    path, _ = make_folder(tmp_path)
    bad = tmp_path / folder / "frame1.png"
    damage(bad)
    found = check(_opened("folder", path), quick=quick)
    faults = [problem for problem in found.problems if problem.kind not in ("class", "duplicate")]
    (problem,) = faults
    assert (problem.kind, problem.split) == (kind, "val")
    assert len(problem.files) == 1
    assert Path(problem.files[0]).name == bad.name
    assert str(tmp_path) not in problem.what
    assert re.search(what, problem.what)
    assert problem.severity == ("warning" if kind in ("orientation", "empty") else "error")
    assert found.errors == found.problems[: len(found.errors)]


def test_the_same_fault_in_many_files_is_one_problem(tmp_path: Path) -> None:
    path, _ = make_folder(tmp_path)
    for index in range(3):
        _remove(tmp_path / f"train_masks/frame{index}.png")
    (problem,) = [problem for problem in check(_opened("folder", path)).errors if problem.kind == "missing"]
    assert [Path(file).name for file in problem.files] == ["frame0.png", "frame1.png", "frame2.png"]


def _of_kind(found: Check, kind: str) -> list[Problem]:
    return [problem for problem in found.problems if problem.kind == kind]


def test_masks_of_0_and_255(tmp_path: Path) -> None:
    """255 does not count: the object would be lost without a word."""
    path, _ = make_folder(tmp_path)
    for mask in tmp_path.glob("*_masks/*.png"):
        save(np.where(np.arange(24 * 40).reshape(24, 40) % 4, 0, 255).astype(np.uint8), mask)
    description = yaml.safe_load(path.read_text()) | {"classes": ["background", "object"]}
    path.write_text(yaml.safe_dump(description))
    for quick in (False, True):
        problems = _of_kind(check(_opened("folder", path, "train", "val"), quick=quick), "class")
        assert [(problem.severity, problem.split) for problem in problems] == [("error", "train"), ("error", "val")]
        assert "only background has pixels" in problems[0].what
        assert "25.0% of the pixels do not count" in problems[0].what
        assert "ids: {0: background, 255: object}" in problems[0].what
    path.write_text(yaml.safe_dump(description | {"ids": {0: "background", 255: "object"}}))
    assert _of_kind(check(_opened("folder", path, "train", "val")), "class") == []


def test_classes_that_are_nowhere(tmp_path: Path) -> None:
    path, _ = make_folder(tmp_path)
    description = yaml.safe_load(path.read_text())
    description["classes"].append({"name": "tram", "colour": [1, 2, 3]})
    path.write_text(yaml.safe_dump(description))
    (problem,) = _of_kind(check(_opened("folder", path)), "class")
    assert (problem.severity, problem.split) == ("error", "train and val")
    assert "no pixel of tram in any label" in problem.what
    (quick,) = _of_kind(check(_opened("folder", path), quick=True), "class")
    assert quick.severity == "warning"  # it can be trained all the same
    ids = np.array(Image.open(tmp_path / "train_masks/frame0.png"))
    ids[0] = 3
    save(ids, tmp_path / "train_masks/frame0.png")
    (problem,) = _of_kind(check(_opened("folder", path)), "class")
    assert (problem.severity, problem.split) == ("warning", "val")


def test_near_duplicates_between_splits(tmp_path: Path) -> None:
    path, _ = make_folder(tmp_path)
    scenes = [sample.image for sample in Streets("train", (96, 128), 5)]
    for image, name in zip(scenes, ("train/frame0", "train/frame1", "train/frame2", "val/frame0"), strict=False):
        save(image, tmp_path / f"{name}.png")
    for split, index in (("train", 0), ("train", 1), ("train", 2), ("val", 0), ("val", 1)):
        save(np.resize(np.arange(3, dtype=np.uint8), (96, 128)), tmp_path / f"{split}_masks/frame{index}.png")
    again = Image.fromarray(scenes[1]).resize((128 * 2, 96 * 2)).point(lambda value: value * 0.9)
    again.save(tmp_path / "val/frame1.png")
    Image.fromarray(np.resize(np.arange(3, dtype=np.uint8), (192, 256))).save(tmp_path / "val_masks/frame1.png")
    (problem,) = _of_kind(check(_opened("folder", path)), "duplicate")
    assert (problem.severity, problem.split) == ("error", "train and val")
    assert problem.files == (str(tmp_path / "train/frame1.png"), str(tmp_path / "val/frame1.png"))


def test_drives_in_two_splits(tmp_path: Path) -> None:
    make_camvid(tmp_path / "camvid", "folders")
    drives = _of_kind(check(_opened("camvid", tmp_path / "camvid")), "drive")
    assert [problem.split for problem in drives] == ["train and val", "train and test"]
    assert "0016E5" in drives[0].what
    assert "0001TP" in drives[1].what
    make_cityscapes(tmp_path / "cityscapes")  # its splits are cities
    assert _of_kind(check(_opened("cityscapes", tmp_path / "cityscapes")), "drive") == []


@pytest.mark.parametrize(
    ("train", "val", "told"),
    [
        (["a_0001", "b_0001"], ["b_0002", "c_01"], "(b)"),
        (["a_0001", "b_0001"], ["c_0002", "d_01"], None),
        (["frame1", "frame2"], ["frame3"], None),  # all have that name: it says nothing
        (["01", "a_1"], ["a_2", "b_3"], None),  # some have none
        (["north-f0010", "south-f0010"], ["south-f0011", "north-f0012"], "(north, south)"),
    ],
)
def test_drives_by_names(train: list[str], val: list[str], told: str | None, tmp_path: Path) -> None:
    for split, names in (("train", train), ("val", val)):
        for name in names:
            save(np.zeros((4, 4, 3), np.uint8), tmp_path / split / f"{name}.png")
    path = tmp_path / "d.yaml"
    splits = {split: {"images": f"{split}/*.png"} for split in ("train", "val")}
    path.write_text(yaml.safe_dump({"name": "x", "classes": ["a", "b"], "splits": splits}))
    drives = _of_kind(check(_opened("folder", path)), "drive")
    assert len(drives) == (told is not None)
    assert told is None or told in drives[0].what


def test_a_quick_check_decodes_few_but_opens_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of seven images of 960 pixels two may be decoded, the first and the last; beside them what lacks its end."""
    path, _ = make_folder(tmp_path)
    for index in range(3, 7):
        for folder in ("train", "train_masks"):
            data = (tmp_path / folder / "frame0.png").read_bytes()
            (tmp_path / folder / f"frame{index}.png").write_bytes(data)
    monkeypatch.setattr(module, "_QUICK_PIXELS", 2 * 24 * 40)
    _spoil(tmp_path / "train/frame1.png")
    _cut(tmp_path / "train/frame2.png")
    _empty(tmp_path / "train_masks/frame3.png")
    _cut(tmp_path / "train_masks/frame4.png")
    found = check(_opened("folder", path, "train"), quick=True)
    assert found.splits["train"].decoded == 3  # of frame2 the image is not
    names = {Path(file).name for problem in found.errors for file in problem.files}
    assert names == {"frame2.png", "frame3.png", "frame4.png"}
    whole = check(_opened("folder", path, "train"))
    assert {Path(file).name for problem in whole.errors for file in problem.files} == names | {"frame1.png"}


def _spoil(path: Path) -> None:
    """Bytes in the middle are changed."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 9] = b"!" * 9
    path.write_bytes(data)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".jpeg", ".JPG"])
def test_a_file_without_its_end_is_known(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    rng = np.random.default_rng(0)
    for _ in range(20):
        save(rng.integers(0, 256, (48, 64, 3), np.uint8), path)
        whole = path.read_bytes()
        assert not seems_cut(path)
        path.write_bytes(whole + bytes(100))  # as some cameras do
        assert not seems_cut(path)
        path.write_bytes(whole[: rng.integers(len(whole) - 8)])
        assert seems_cut(path)
    assert not seems_cut(tmp_path / "missing.png")


def test_a_glance_decodes_nothing(tmp_path: Path) -> None:
    path, _ = make_folder(tmp_path)
    dataset = _opened("folder", path, "train")["train"]
    for item in dataset.items:
        _cut(item.image)
    assert all(glance(dataset, index).faults == [] for index in range(3))
    assert all(look(dataset, index).faults[0].kind == "broken" for index in range(3))


@pytest.mark.parametrize("orientation", range(2, 9))
def test_image_and_label_turned_alike_stay_together(orientation: int, tmp_path: Path) -> None:
    path, samples = make_folder(tmp_path)
    for folder in ("train", "train_masks"):
        image = Image.open(tmp_path / folder / "frame0.png")
        exif = image.getexif()
        exif[0x112] = orientation
        image.save(tmp_path / folder / "frame0.png", exif=exif)
    dataset = _opened("folder", path, "train")["train"]
    stored, turned = samples["train"][0], dataset[0]
    assert look(dataset, 0).faults == []
    # However it is turned, each colour keeps its class.
    assert stored.label is not None
    assert turned.label is not None
    of_stored = dict(zip(map(tuple, stored.image.reshape(-1, 3).tolist()), stored.label.ravel().tolist(), strict=True))
    of_turned = dict(zip(map(tuple, turned.image.reshape(-1, 3).tolist()), turned.label.ravel().tolist(), strict=True))
    assert of_stored == of_turned
    assert turned.image.shape[:2] == turned.label.shape
