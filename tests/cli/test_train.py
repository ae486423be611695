"""`bcpnet train`: recipes and their overrides, an interrupted run, and what comes after: evaluate, export, predict."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import Cli
from fake_data import make_camvid, make_cityscapes, make_folder

from bcpnet.cli.common import Status
from bcpnet.training.recipes import RECIPES

# Four images of 36 x 48: two steps an epoch, a fraction of a second each.
TINY = {
    "crop-h": 32, "crop-w": 32, "short-side": 32, "batch": 2, "micro-batch": 2, "epochs": 1, "eval-epochs": 1,
}  # fmt: skip


def options(**changes: object) -> list[object]:
    """TINY, with changes, as arguments; None for an option without a value."""
    values = TINY | {name.replace("_", "-"): value for name, value in changes.items()}
    return [part for name, value in values.items() for part in (f"--{name}", value) if part is not None]


@pytest.fixture
def camvid(tmp_path: Path) -> Path:
    """A small CamVid; skips where training is not installed."""
    pytest.importorskip("torch", reason="training needs PyTorch")
    make_camvid(tmp_path / "camvid", "folders")
    return tmp_path / "camvid"


@pytest.fixture
def train(cli: Cli, camvid: Path) -> Cli:
    """Trains the recipe `streets` on the small CamVid."""
    return lambda *arguments: cli("train", "streets", "--dataset", "camvid", "--root", camvid, *arguments)


def test_train_evaluate_export_predict(train: Cli, cli: Cli, camvid: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    trained = train("--out", run, *options(epochs=2, lr=0.001, no_flip=None))
    assert trained.code == 0, trained.err
    assert str(run / "last.safetensors") in trained.out
    assert "epoch 2/2, step 4/4" in trained.err

    saved = json.loads((run / "recipe.json").read_text())
    assert {name: saved[name] for name in ("dataset", "crop_h", "short_side", "batch", "epochs", "lr", "flip")} == {
        "dataset": "camvid", "crop_h": 32, "short_side": 32, "batch": 2, "epochs": 2, "lr": 0.001, "flip": False,
    }  # fmt: skip
    assert saved["optimizer"] == RECIPES["streets"]().optimizer
    history = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    assert [line["step"] for line in history] == [2, 4]
    assert not list(run.glob(".*"))

    of_weights = json.loads(cli("evaluate", "--weights", run / "last.safetensors", "--root", camvid, "--json").out)
    assert of_weights["miou"] == pytest.approx(history[-1]["miou"], abs=1e-6)

    exported = cli("export", "--weights", run / "last.safetensors", tmp_path / "mine.onnx")
    assert exported.code == 0, exported.err
    of_onnx = json.loads(cli("evaluate", "--weights", tmp_path / "mine.onnx", "--root", camvid, "--json").out)
    assert of_onnx["backend"] in ("native", "onnxruntime")  # native where it was compiled
    assert of_onnx["pixel_accuracy"] == pytest.approx(of_weights["pixel_accuracy"], abs=1e-3)

    images = camvid / "test" / "images"
    assert cli("predict", images, "--weights", tmp_path / "mine.onnx", "--out", tmp_path / "out").code == 0
    assert len(list((tmp_path / "out").glob("*.png"))) == 2


def test_sigterm_saves_and_resume_finishes(train: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def terminate(_: Status, text: str, *, always: bool = False) -> None:
        del always
        if "step 3/" in text:
            os.kill(os.getpid(), signal.SIGTERM)

    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(Status, "show", terminate)
        stopped = train("--out", run, *options(epochs=3))
    assert stopped.code == 130
    (complaint,) = stopped.err.splitlines()
    assert complaint.startswith("bcpnet: stopped at step ")
    assert complaint.endswith("--resume")
    assert (run / "last.safetensors").is_file()

    again = train("--out", run, *options(epochs=3))
    assert again.code == 2
    assert "--resume" in again.err
    other = train("--out", run, "--resume", *options(epochs=4))
    assert other.code == 2
    assert "epochs was 3, now 4" in other.err

    resumed = train("--out", run, "--resume", *options(epochs=3))
    assert resumed.code == 0
    assert "step 6/6" in resumed.err
    assert not list(run.glob(".*"))


def test_cityscapes_to_what_its_server_takes(cli: Cli, tmp_path: Path) -> None:
    """The recipe with its own network, losses and precision; sizes are cut, and it starts from random weights."""
    pytest.importorskip("torch", reason="training needs PyTorch")
    make_cityscapes(tmp_path / "cityscapes")
    run, root = tmp_path / "run", ["--root", tmp_path / "cityscapes"]
    cut = options(pretrained="none", workers=0)
    ran = cli("train", "cityscapes", *root, "--out", run, *cut)
    assert ran.code == 0, ran.err
    weights = ["--weights", run / "last.safetensors"]
    scored = json.loads(cli("evaluate", *weights, "--data", "cityscapes", *root, "--json").out)
    assert len(scored["iou"]) == 19
    images = tmp_path / "cityscapes" / "leftImg8bit" / "val" / "*" / "*.png"
    assert cli("predict", images, *weights, "--out", tmp_path / "out", "--format", "cityscapes").code == 0
    assert {path.name for path in (tmp_path / "out").glob("*.png")} == {
        f"lindau_{frame:06}_000019_labelIds.png" for frame in range(2)
    }


def test_a_folder_of_ones_own(cli: Cli, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="training needs PyTorch")
    yaml, _ = make_folder(tmp_path / "own")
    run = tmp_path / "run"
    ran = cli("train", "streets", "--dataset", "folder", "--root", yaml, "--out", run, "--val-split", "none",
              *options(batch=1, micro_batch=1))  # fmt: skip
    assert ran.code == 0, ran.err
    assert not (run / "best.safetensors").exists()
    scored = cli("evaluate", "--weights", run / "last.safetensors", "--data", "folder", "--root", yaml)
    assert scored.code == 0
    assert "car" in scored.out


@pytest.mark.parametrize("name", RECIPES)
def test_help_of_every_recipe(name: str, cli: Cli) -> None:
    ran = cli("train", name, "--help")
    assert (ran.code, ran.err) == (0, "")
    assert f"bcpnet train {name}" in ran.out
    for field in ("--crop-h", "--weight-decay", "--micro-batch", "--resume", "--no-flip"):
        assert field in ran.out
    assert f"(default: {RECIPES[name]().crop_h})" in ran.out


def test_help_lists_the_recipes(cli: Cli) -> None:
    ran = cli("train", "--help")
    assert (ran.code, ran.err) == (0, "")
    for name, make in RECIPES.items():
        assert f"{name} " in ran.out
        assert str(make.__doc__) in ran.out


def test_the_recipes_need_no_pytorch_to_be_read() -> None:
    script = (
        "import sys; from bcpnet.cli import main; main(['train', 'streets', '--help']); print('torch' in sys.modules)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script, "train", "streets", "--help"], capture_output=True, text=True, check=True
    )
    assert ran.stdout.splitlines()[-1] == "False"
