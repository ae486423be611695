"""`bcpnet train`: recipes and their overrides, an interrupted run, and what comes after: evaluate, export, predict."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from command_line import Cli
from fake_data import make_camvid, make_cityscapes, make_folder

from bcpnet.cli.common import Status
from bcpnet.data import DATASETS
from bcpnet.networks.checkpoint import load_checkpoint, save_checkpoint
from bcpnet.training.recipes import RECIPES
from bcpnet.weights import path_of

# Four images of 36 x 48: two steps an epoch, a fraction of a second each.
TINY = {
    "crop-h": 32, "crop-w": 32, "short-side": 32, "batch": 2, "epochs": 1, "eval-epochs": 1,
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
    return lambda *arguments: cli("train", "streets", "--data", "camvid", "--root", camvid, *arguments)


def test_train_evaluate_export_predict(train: Cli, cli: Cli, camvid: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    trained = train("--out", run, *options(epochs=2, lr=0.001, no_flip=None))
    assert trained.code == 0, trained.err
    assert str(run / "last.safetensors") in trained.out
    assert "epoch 2/2, step 4/4" in trained.err
    assert len(list((run / "samples").glob("*.jpg"))) == 2

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
    of_run = json.loads(cli("evaluate", "--weights", run, "--data", "camvid", "--root", camvid, "--json").out)
    assert of_run["iou"] == of_weights["iou"] == pytest.approx(history[-1]["iou"], abs=1e-6)
    lowest = min((iou, name) for name, iou in history[-1]["iou"].items() if iou is not None)
    told = f"val mIoU {100 * history[-1]['miou']:.2f} % after epoch 2; lowest: {lowest[1]} {100 * lowest[0]:.1f}"
    assert trained.out.startswith(told)

    exported = cli("export", "--weights", run, tmp_path / "mine.onnx")
    assert exported.code == 0, exported.err
    of_onnx = json.loads(cli("evaluate", "--weights", tmp_path / "mine.onnx", "--root", camvid, "--json").out)
    assert of_onnx["backend"] in ("native", "onnxruntime")  # native where it was compiled
    assert of_onnx["pixel_accuracy"] == pytest.approx(of_weights["pixel_accuracy"], abs=1e-3)

    images = camvid / "test" / "images"
    assert cli("predict", images, "--weights", tmp_path / "mine.onnx", "--out", tmp_path / "out").code == 0
    assert len(list((tmp_path / "out").glob("*.png"))) == 2

    taught = train("--out", tmp_path / "next", "--pretrained", run, "--teacher", run, *options())
    assert taught.code == 0, taught.err


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
    assert complaint.endswith(f"; go on with: bcpnet train --resume {run}")
    assert (run / "last.safetensors").is_file()

    again = train("--out", run, *options(epochs=3))
    assert again.code == 2
    assert f"bcpnet train --resume {run}" in again.err
    other = train("--out", run, "--resume", *options(epochs=4))
    assert other.code == 2
    assert "epochs was 3, now 4" in other.err
    assert f"--pretrained {run} --out NEW" in other.err

    resumed = train("--out", run, "--resume", *options(epochs=3))
    assert resumed.code == 0
    assert "step 6/6" in resumed.err
    assert not list(run.glob(".*"))


def test_a_run_is_all_that_resume_needs(
    cli: Cli, camvid: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the working folder, where the data were given relative to another; a longer one needs a new run."""

    def terminate(_: Status, text: str, *, always: bool = False) -> None:
        del always
        if "step 1/" in text:
            os.kill(os.getpid(), signal.SIGTERM)

    run = tmp_path / "run"
    monkeypatch.chdir(camvid.parent)
    with monkeypatch.context() as patch:
        patch.setattr(Status, "show", terminate)
        cut = options(epochs=2)
        assert cli("train", "streets", "--data", "camvid", "--root", camvid.name, "--out", run, *cut).code == 130
    monkeypatch.chdir(Path(__file__).parent)
    longer = cli("train", "--resume", run, "--epochs", 3)
    assert longer.code == 2
    assert "epochs was 2, now 3" in longer.err

    # A run from before recipes held the root, and the micro-batch that they had then.
    saved = json.loads((run / "recipe.json").read_text())
    assert saved.pop("root") == str(camvid)
    (run / "recipe.json").write_text(json.dumps(saved | {"micro_batch": 2}))
    without = cli("train", "--resume", run)
    assert (without.code, without.err) == (2, "bcpnet: dataset camvid needs --root, its folder\n")

    resumed = cli("train", "--resume", run, "--root", camvid)
    assert resumed.code == 0, resumed.err
    assert "step 4/4" in resumed.err
    again = cli("train", "--resume", run)
    assert again.code == 0
    assert again.out == resumed.out


def test_help_of_a_run_shows_its_values(train: Cli, cli: Cli, tmp_path: Path) -> None:
    assert train("--out", tmp_path / "run", "--val-split", "none", *options(lr=0.00125)).code == 0
    ran = cli("train", "--resume", tmp_path / "run", "--help")
    assert ran.code == 0
    assert "(default: 0.00125)" in ran.out


@pytest.mark.parametrize("batch", [1, 3])
def test_batch_is_all_that_a_smaller_batch_needs(batch: int, cli: Cli, camvid: Path, tmp_path: Path) -> None:
    cut = options(batch=batch, val_split="none")
    ran = cli("train", "camvid-paper", "--root", camvid, "--out", tmp_path / "run", *cut)
    assert ran.code == 0, ran.err


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
    ran = cli("train", "streets", "--data", "folder", "--root", yaml, "--out", run, "--val-split", "none",
              *options(batch=1))  # fmt: skip
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
    for field in (
        f"--data {{{','.join(DATASETS)}}}",
        "--root",
        "--crop-h",
        "--weight-decay",
        "--micro-batch",
        "--resume",
        "--no-flip",
    ):
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


@pytest.mark.parametrize("told", [True, False])
def test_going_on_from_weights_that_saw_val_is_told(told: bool, cli: Cli, camvid: Path, tmp_path: Path) -> None:
    start = "camvid"
    if not told:
        network, metadata = load_checkpoint(path_of("camvid", ".safetensors"))
        start = str(tmp_path / "of_train.safetensors")
        save_checkpoint(Path(start), network, replace(metadata, trained_on=("camvid/train",)))
    result = cli("train", "camvid", *options(root=camvid, out=tmp_path / "run", pretrained=start))
    assert result.code == 0
    assert ("were trained on val-split val: its scores will be too high" in result.err) == told
