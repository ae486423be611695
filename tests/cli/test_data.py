"""`bcpnet data check`, and what train, evaluate and predict tell of data that are not right."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from command_line import Cli, assert_one_line
from fake_data import make_camvid, make_folder, save
from one_convolution import METADATA

CUT = [
    "--crop-h", 32, "--crop-w", 32, "--short-side", 32, "--batch", 2, "--epochs", 1, "--pretrained", "none",
]  # fmt: skip


def _train(cli: Cli, path: Path, *words: object):  # type: ignore[no-untyped-def]
    run = path.parent / "run"
    ran = cli("train", "streets", "--data", "folder", "--root", path, "--out", run, *CUT, *words)
    return ran, run


def test_an_intact_dataset(cli: Cli, tmp_path: Path) -> None:
    make_camvid(tmp_path / "camvid", "folders", (64, 64))
    page, facts = tmp_path / "out" / "page.html", tmp_path / "out" / "facts.json"
    ran = cli("data", "check", "--data", "camvid", "--root", tmp_path / "camvid", "--html", page, "--json", facts)
    assert ran.code == 0, ran.err
    assert "train: 4 images, 4 with labels; 64x64" in ran.out
    assert "0 errors and 2 warnings in 8 images" in ran.out
    assert page.read_text().endswith("</html>\n")
    assert json.loads(facts.read_text())["splits"]["val"]["decoded"] == 2


def test_a_broken_one(cli: Cli, tmp_path: Path) -> None:
    path, _ = make_folder(tmp_path)
    (tmp_path / "train_masks/frame0.png").unlink()
    (tmp_path / "val/frame1.png").write_bytes(b"no image")
    ran = cli("data", "check", "--data", "folder", "--root", path)
    assert ran.code == 1
    assert f"\n    {tmp_path / 'train_masks/frame0.png'}\n" in ran.out
    assert f"\n    {tmp_path / 'val/frame1.png'}\n" in ran.out
    assert ran.out.endswith("2 errors and 0 warnings in 7 images\n")
    assert cli("data", "check", "--data", "folder", "--root", path, "--split", "test").code == 0


def test_a_split_that_is_not_there_is_left_out(cli: Cli, tmp_path: Path) -> None:
    make_camvid(tmp_path, "folders", (64, 64))
    (tmp_path / "test").rename(tmp_path / "elsewhere")
    ran = cli("data", "check", "--data", "camvid", "--root", tmp_path)
    assert ran.code == 0
    assert "test: left out" in ran.err
    assert cli("data", "check", "--data", "camvid", "--root", tmp_path, "--split", "test").code == 1


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["check"], 2, "--data"),
        (["check", "--data", "camvid"], 2, "needs --root"),
        (["check", "--data", "streets"], 2, "nothing to check"),
        (["check", "--data", "mine", "--root", "."], 2, "unknown dataset 'mine'"),
        (["check", "--data", "folder", "--root", "nowhere.yaml"], 1, "nowhere.yaml: cannot read"),
        (["check", "--data", "camvid", "--root", "/nowhere"], 1, "no such folder"),
        (["nowhere"], 2, "nowhere"),
    ],
)
def test_wrong_calls(words: list[str], code: int, told: str, cli: Cli) -> None:
    ran = cli("data", *words)
    assert (ran.code, ran.out) == (code, "")
    assert told in ran.err.replace("\n", " ")


@pytest.mark.parametrize("root", ["nowhere", "file", "empty", "loop"])
def test_a_root_without_any_split_is_one_line(root: str, cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    ran = cli("data", "check", "--data", "camvid", "--root", tmp_path / root)
    assert (ran.code, ran.out) == (1, "")
    assert_one_line(ran.err)
    assert f"bcpnet: {tmp_path / root}: no " in ran.err


def test_what_is_written_is_not_what_is_read(cli: Cli, tmp_path: Path) -> None:
    path, _ = make_folder(tmp_path)
    (tmp_path / "link.yaml").symlink_to(path)
    before = path.read_bytes()
    out = tmp_path / "out"
    for words in (("--json", path), ("--html", tmp_path / "link.yaml"), ("--json", out, "--html", out)):
        ran = cli("data", "check", "--data", "folder", "--root", path, *words)
        assert (ran.code, ran.out) == (2, "")
        assert_one_line(ran.err)
        assert "name another file" in ran.err
    assert path.read_bytes() == before
    assert not out.exists()


@pytest.mark.parametrize(
    "file", ["val/frame1.png", "val_masks/frame1.png", "train/frame1.png", "train_masks/frame1.png"]
)
def test_training_tells_of_a_broken_file_before_it_begins(file: str, cli: Cli, tmp_path: Path) -> None:
    path, _ = make_folder(tmp_path)
    data = (tmp_path / file).read_bytes()
    (tmp_path / file).write_bytes(data[: len(data) // 2])
    ran, run = _train(cli, path)
    assert ran.code == 1
    assert ran.err.splitlines()[-1].startswith(f"bcpnet: {tmp_path / file}: ")
    assert not run.exists()


def test_training_tells_of_a_split_without_labels_before_it_begins(cli: Cli, tmp_path: Path) -> None:
    path, _ = make_folder(tmp_path)
    ran, run = _train(cli, path, "--val-split", "test")
    assert ran.code == 1
    assert "test/frame0.png: has no label; so it is with 2 of 2 images of test" in ran.err
    assert not run.exists()


def _binary(folder: Path, value: int, **entries: object) -> Path:
    path, _ = make_folder(folder)
    for mask in folder.glob("*_masks/*.png"):
        save(np.resize(np.array([0, value, value, 0, 0], np.uint8), (24, 40)), mask)
    path.write_text(
        yaml.safe_dump({**yaml.safe_load(path.read_text()), "classes": ["background", "object"], **entries})
    )
    return path


def test_training_on_0_and_255_is_refused_with_the_remedy(cli: Cli, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="training needs PyTorch")
    path = _binary(tmp_path, 255)
    ran, run = _train(cli, path)
    assert ran.code == 1
    assert "ids: {0: background, 255: object}" in ran.err
    assert not run.exists()
    path.write_text(path.read_text() + "ids: {0: background, 255: object}\n")
    assert _train(cli, path)[0].code == 0


def test_training_on_one_class_is_refused(cli: Cli, tmp_path: Path) -> None:
    path = _binary(tmp_path, 1, classes=["object"], ids={1: "object"}, ignore=[0])
    ran, run = _train(cli, path)
    assert ran.code == 1
    assert "only object has pixels that count in the 3 labels that were decoded: there is nothing to tell it" in ran.err
    assert not run.exists()


def test_a_class_that_never_occurs_is_told(cli: Cli, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="training needs PyTorch")
    ran, _ = _train(cli, _binary(tmp_path, 1, classes=["background", "object", "third"]))
    assert ran.code == 0
    assert "bcpnet: warning, train and val: no pixel of third in any label" in ran.err


def test_the_former_name_of_data(cli: Cli, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="training needs PyTorch")
    for number, word in enumerate((["--dataset", "folder"], ["--dataset=folder"])):
        path = _binary(tmp_path / str(number), 1)
        ran = cli("train", "streets", *word, "--root", path, "--out", tmp_path / f"run{number}", *CUT)
        assert ran.code == 0, ran.err


def test_a_score_on_one_class_is_said_to_mean_little(cli: Cli, onnx_path: Path, tmp_path: Path) -> None:
    for value, said in ((255, True), (1, False)):
        path = _binary(tmp_path / str(value), value, classes=list(METADATA.classes.names))
        ran = cli("evaluate", "--weights", onnx_path, "--data", "folder", "--root", path)
        assert ran.code == 0, ran.err
        assert ("this score says little" in ran.err) == said


def test_predict_tells_of_links_to_nowhere_and_does_the_rest(cli: Cli, onnx_path: Path, picture: Path) -> None:
    link = picture.with_name("gone.png")
    link.symlink_to("/nowhere/gone.png")
    for source in (picture.parent, picture.parent / "*.png"):
        out = picture.parent.parent / f"out{source.suffix}"
        ran = cli("predict", source, "--weights", onnx_path, "--out", out)
        assert ran.code == 1
        assert f"{link}: cannot read: No such file" in ran.err
        assert (out / "street.png").is_file()
