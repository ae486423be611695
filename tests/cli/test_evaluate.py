"""`bcpnet evaluate`: the figures of `evaluation.evaluate`, and those of the class maps that `bcpnet predict` writes."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from command_line import Cli, assert_one_line
from fake_data import make_camvid, make_cityscapes, make_folder
from one_convolution import METADATA, write_onnx
from PIL import Image

from bcpnet.backends import open_backend
from bcpnet.data import open_dataset
from bcpnet.evaluation.evaluate import ClassMap, evaluate
from bcpnet.metadata import KEY
from bcpnet.metrics import ConfusionMatrix


@pytest.fixture
def camvid(tmp_path: Path) -> Path:
    """A small CamVid."""
    make_camvid(tmp_path / "camvid", "folders")
    return tmp_path / "camvid"


@pytest.mark.parametrize("size", [None, "96x128"])
def test_json_is_the_evaluation(size: str | None, cli: Cli, camvid: Path, onnx_path: Path) -> None:
    options = ["--size", size] if size else []
    ran = cli("evaluate", "--weights", onnx_path, "--root", camvid, "--split", "train", "--json", *options)
    assert (ran.code, ran.err) == (0, "")
    printed = json.loads(ran.out)
    size_hw = (96, 128) if size else None
    expected = evaluate(open_backend(onnx_path), open_dataset("camvid", camvid, "train"), size_hw=size_hw).as_dict()
    machine = printed.pop("machine")
    assert machine
    named = {"weights": str(onnx_path), "backend": "onnxruntime", "dataset": "camvid", "split": "train"}
    assert printed == json.loads(json.dumps(expected | named | {"seen_in_training": None}))
    assert printed["images"] == 4
    assert printed["size_hw"] == ([96, 128] if size else [360, 480])


def test_equals_scoring_what_predict_writes(cli: Cli, camvid: Path, onnx_path: Path, tmp_path: Path) -> None:
    printed = json.loads(cli("evaluate", "--weights", onnx_path, "--root", camvid, "--json").out)
    cli("predict", camvid / "val" / "images", "--weights", onnx_path, "--out", tmp_path / "out", "--save", "classmap")
    confusion = ConfusionMatrix(11)
    for _, label, name in open_dataset("camvid", camvid, "val"):  # type: ignore[attr-defined]
        confusion.update(label, np.asarray(Image.open(tmp_path / "out" / f"{name}.png")))
    assert printed["confusion"] == confusion.counts.tolist()
    assert printed["miou"] == confusion.mean_iou()


def test_table_and_picture(cli: Cli, camvid: Path, onnx_path: Path, tmp_path: Path) -> None:
    picture = tmp_path / "figures" / "confusion.png"
    ran = cli("evaluate", "--weights", onnx_path, "--root", camvid, "--confusion", picture)
    assert ran.code == 0
    scores = evaluate(open_backend(onnx_path), open_dataset("camvid", camvid, "val")).scores
    assert f"{100 * scores.miou:.2f}" in next(line for line in ran.out.splitlines() if line.startswith("mIoU"))
    assert "bicyclist" in ran.out
    assert "2 images of camvid val, onnxruntime" in ran.out
    assert str(picture) in ran.out
    with Image.open(picture) as image:
        image.load()
        assert min(image.size) > 300


def trained_on(folder: Path, *splits: str) -> Path:
    """Weights that say so."""
    metadata = replace(METADATA, trained_on=splits)
    return write_onnx(folder / "trained.onnx", {KEY: metadata.to_json()})


@pytest.mark.usefixtures("no_news")
@pytest.mark.parametrize(
    ("saw", "asked", "split", "seen"),
    [
        (("camvid/train", "camvid/val"), [], "test", False),
        (("camvid/train", "camvid/val"), ["--split", "val"], "val", True),
        (("camvid/train", "camvid/val"), ["--split", "0016E5"], "0016E5", True),
        (("camvid/train", "camvid/val", "camvid/test"), [], "test", True),
        (("camvid/train",), [], "val", False),
        (("camvid/train",), ["--split", "train"], "train", True),
        (("camvid/without-0016E5",), [], "val", False),
        (("cityscapes/train", "unknown"), [], "val", None),
        ((), [], "val", None),
    ],
)
def test_a_split_that_the_weights_saw_is_told(
    saw: tuple[str, ...], asked: list[str], split: str, seen: bool | None, cli: Cli, camvid: Path, tmp_path: Path
) -> None:
    weights = trained_on(tmp_path, *saw)
    told = cli("evaluate", "--weights", weights, "--root", camvid, *asked)
    printed = json.loads(cli("evaluate", "--weights", weights, "--root", camvid, *asked, "--json").out)
    assert (printed["split"], printed["seen_in_training"]) == (split, seen)
    assert f"images of camvid {split}, onnxruntime" in told.out
    assert ("too high" in told.out) == bool(seen)
    if seen:
        assert_one_line(told.err)
        assert f"warning: {weights} was trained on images of camvid {split}, so this score is too high" in told.err
        assert ("camvid-original" in told.err) == (split == "test")  # those that ship saw val
    else:
        assert told.err == ""


def test_without_labels_of_test_the_default_says_what_to_do(cli: Cli, tmp_path: Path) -> None:
    """As the weights that ship by default find CamVid where its test labels are held back, or test is not there."""
    for name in ("held_back", "no_test"):
        make_camvid(tmp_path / name, "folders", test_labels=False)
    shutil.rmtree(tmp_path / "no_test" / "test")
    for name in ("held_back", "no_test"):
        ran = cli("evaluate", "--root", tmp_path / name)
        assert ran.code == 2
        assert_one_line(ran.err)
        assert "camvid was trained on images of camvid val" in ran.err
        assert "a --split that has labels, or --split val" in ran.err
        assert ran.out == ""


def test_streets(cli: Cli, onnx_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bcpnet.data.streets._LENGTHS", {"train": 1, "val": 2, "test": 1})  # 50 take half a minute
    ran = cli("evaluate", "--weights", onnx_path, "--data", "streets", "--json")
    expected = evaluate(open_backend(onnx_path), open_dataset("streets", None, "val"))
    assert json.loads(ran.out)["confusion"] == expected.confusion.counts.tolist()


def test_cityscapes(cli: Cli, cityscapes_onnx: Path, tmp_path: Path) -> None:
    make_cityscapes(tmp_path)
    ran = cli("evaluate", "--weights", cityscapes_onnx, "--data", "cityscapes", "--root", tmp_path)
    assert ran.code == 0
    assert "2 images of cityscapes val" in ran.out


def test_a_folder_of_other_classes_is_refused(cli: Cli, onnx_path: Path, tmp_path: Path) -> None:
    yaml, _ = make_folder(tmp_path)
    ran = cli("evaluate", "--weights", onnx_path, "--data", "folder", "--root", yaml)
    assert ran.code == 2
    assert "fake has 3" in ran.err


def test_of_a_checkpoint(cli: Cli, camvid: Path, checkpoint: Path) -> None:
    printed = json.loads(cli("evaluate", "--weights", checkpoint, "--root", camvid, "--json").out)
    assert printed["backend"] == "pytorch"
    assert printed["size_hw"] == [64, 88]


def test_of_another_backend(cli: Cli, camvid: Path, onnx_path: Path) -> None:
    pytest.importorskip("openvino")
    printed = [
        json.loads(cli("evaluate", "--weights", onnx_path, "--root", camvid, "--backend", backend, "--json").out)
        for backend in ("openvino", "onnxruntime")
    ]
    assert [one["backend"] for one in printed] == ["openvino", "onnxruntime"]
    assert printed[0]["miou"] == pytest.approx(printed[1]["miou"], abs=1e-3)


def test_a_picture_that_cannot_be_written_costs_no_figures(
    cli: Cli, camvid: Path, onnx_path: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    picture = tmp_path / "file" / "confusion.png"
    ran = cli("evaluate", "--weights", onnx_path, "--root", camvid, "--confusion", picture)
    assert ran.code == 1
    assert "mIoU" in ran.out
    assert str(picture) in ran.err


def test_the_worst_images_are_drawn_worst_first(
    cli: Cli, camvid: Path, onnx_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bcpnet.cli.evaluate._WORST", 3)
    folder = tmp_path / "worst"
    ran = cli("evaluate", "--weights", onnx_path, "--root", camvid, "--split", "train", "--worst", folder)
    assert ran.code == 0
    assert f"the worst images in {folder}" in ran.out
    scores: list[tuple[float, str]] = []

    def score(index: int, label: ClassMap, class_map: ClassMap) -> None:
        confusion = ConfusionMatrix(11)
        confusion.update(label, class_map)
        scores.append((confusion.mean_iou(), dataset[index].name))

    dataset = open_dataset("camvid", camvid, "train")
    evaluate(open_backend(onnx_path), dataset, watch=score)
    expected = [f"{rank:02}_{name}_miou{100 * miou:.0f}.jpg" for rank, (miou, name) in enumerate(sorted(scores)[:3], 1)]
    assert sorted(path.name for path in folder.iterdir()) == expected
    assert Image.open(folder / expected[0]).width > 960


def test_pictures_that_are_not_ours_are_kept(
    cli: Cli, camvid: Path, onnx_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of `predict`: told, and the others go on; --overwrite replaces them; our own it always replaces."""
    monkeypatch.setattr("bcpnet.cli.evaluate._WORST", 2)
    worst, confusion = tmp_path / "worst", tmp_path / "confusion.png"
    words = ("evaluate", "--weights", onnx_path, "--root", camvid, "--split", "train", "--worst", worst)
    for _ in range(2):
        assert cli(*words, "--confusion", confusion).code == 0
    first, second = sorted(worst.iterdir())
    drawn = {path: path.read_bytes() for path in (first, second, confusion)}
    for path in (first, confusion):
        Image.new("RGB", (8, 8)).save(path)
    second.unlink()
    foreign = {path: path.read_bytes() for path in (first, confusion)}

    ran = cli(*words, "--confusion", confusion)
    assert ran.code == 1
    assert "mIoU" in ran.out
    assert f"confusion matrix in {confusion}" not in ran.out
    for path in (first, confusion):
        assert f"{path}: is there, and not a result of bcpnet's: kept; --overwrite replaces it" in ran.err
    assert {path: path.read_bytes() for path in drawn} == foreign | {second: drawn[second]}

    assert cli(*words, "--confusion", confusion, "--overwrite").code == 0
    assert {path: path.read_bytes() for path in drawn} == drawn
