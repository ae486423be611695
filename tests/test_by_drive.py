"""tools/by_drive.py: trained without a drive, scored on it; what is scored is not run again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fake_data import make_camvid
from tools_here import load_tool

from bcpnet.data import open_dataset
from bcpnet.data.camvid import DRIVES, drive_of
from bcpnet.training.recipes import recipe

SMALL = ("pretrained=none", "short_side=32", "crop_h=32", "crop_w=32", "batch=2", "micro_batch=2", "epochs=1")


@pytest.fixture
def by_drive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The tool as a module, its results in tmp_path, and what it was asked to train in `asked`."""
    module = load_tool("by_drive")
    monkeypatch.setattr(module, "RESULTS", tmp_path / "by-drive.json")
    monkeypatch.setattr(module, "keep_memory", lambda: None)
    module.asked = []

    def train_and_score(what: Any, drive: str, root: Path, run: Path) -> dict[str, Any]:
        del root
        module.asked.append((run.name, what.train_split, what.seed, what.teacher))
        return {"miou": 0.1 * DRIVES.index(drive) + 0.01 * what.seed, "iou": {}}

    module.really_train_and_score = module.train_and_score
    monkeypatch.setattr(module, "train_and_score", train_and_score)

    def main(*arguments: str) -> Any:
        monkeypatch.setattr("sys.argv", ["by_drive.py", *arguments, "--root", "-", "--runs", "-"])
        module.main()
        return json.loads(module.RESULTS.read_text())

    module.run = main
    return module


def test_each_drive_is_held_out_once_and_the_mean_is_over_drives(by_drive: Any) -> None:
    content = by_drive.run("one", "camvid", "--set", "teacher={drive}.onnx", "--seeds", "0", "2")
    assert len(by_drive.asked) == len(set(by_drive.asked)) == 6
    for name, split, seed, teacher in by_drive.asked:
        drive = teacher.removesuffix(".onnx")
        assert (name, split) == (f"one-{drive}-{seed}", f"without-{drive}")
    assert content["means"]["one"]["mean"] == pytest.approx(0.11)  # of 0, 0.1 and 0.2, each with 0.01 of seed 2 halved
    assert {row["changes"]["teacher"] for row in content["rows"]} == {"{drive}.onnx"}


def test_what_is_scored_is_not_run_again_and_other_names_stay(by_drive: Any) -> None:
    by_drive.run("one", "camvid", "--drives", "0006R0")
    content = by_drive.run("one", "camvid")
    assert [name for name, *_ in by_drive.asked].count("one-0006R0-0") == 1
    assert "one" in content["means"]
    content = by_drive.run("two", "camvid", "--drives", "0001TP")
    assert {row["name"] for row in content["rows"]} == {"one", "two"}
    assert "two" not in content["means"]


def test_values_are_read_as_their_fields_are(by_drive: Any) -> None:
    changed = by_drive.changed(recipe("camvid"), {"epochs": "3", "lr": "1e-3", "flip": "false", "teacher": "none"})
    assert (changed.epochs, changed.lr, changed.flip, changed.teacher) == (3, 1e-3, False, "none")
    with pytest.raises(SystemExit, match="no field 'epoch'"):
        by_drive.changed(recipe("camvid"), {"epoch": "3"})


def test_it_trains_and_scores(by_drive: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_camvid(tmp_path / "camvid", "folders")
    held_out = open_dataset("camvid", tmp_path / "camvid", "0006R0")
    assert {drive_of(sample.name) for sample in held_out} == {"0006R0"}
    changes = dict(one.split("=") for one in SMALL)
    what = by_drive.changed(recipe("camvid"), {**changes, "train_split": "without-0006R0", "val_split": "none"})
    monkeypatch.setattr(by_drive, "SIZES_HW", ((32, 48),))
    row = by_drive.really_train_and_score(what, "0006R0", tmp_path / "camvid", tmp_path / "run")
    assert 0 <= row["miou"] <= 1
    assert list(row["by_size"]) == ["32x48"]
    assert set(row["iou"]) == set(held_out.classes.names)
    assert (tmp_path / "run" / "last.safetensors").is_file()
