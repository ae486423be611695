"""tools/release_weights.py: figures of the same recipe on unseen drives; the terms of all it learnt from."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from random_networks import random_network
from tools_here import load_tool

from bcpnet import weights as shipped
from bcpnet.data.camvid import DRIVES
from bcpnet.labels import CAMVID
from bcpnet.metadata import Metadata
from bcpnet.networks.checkpoint import save_checkpoint
from bcpnet.training.recipes import recipe

ROWS = [
    {
        "name": "mine", "drive": drive, "seed": seed, "recipe": "camvid-streets", "changes": {"epochs": "7"},
        "miou": 0.1 * place + 0.02 * seed, "iou": {"sky": 0.5 + 0.1 * seed, "pole": None},
    }
    for place, drive in enumerate(DRIVES) for seed in (0, 1)
]  # fmt: skip
MEANS = {"mine": {**dict.fromkeys(DRIVES, 0.3), "mean": 0.3}}


@pytest.fixture
def release() -> Any:
    """The tool as a module."""
    return load_tool("release_weights")


def _run(folder: Path, step: int = 90) -> Path:
    """What the tool reads of a run."""
    folder.mkdir(parents=True)
    told = f"camvid, 367 images, from random weights; step {step} of 90 (epoch 2 of 2), seed 0"
    save_checkpoint(
        folder / "last.safetensors", random_network("bcpnet", len(CAMVID)), Metadata("bcpnet", {}, CAMVID, 64, told)
    )
    return folder


def test_a_run_that_is_not_at_its_end_is_not_released(release: Any, tmp_path: Path) -> None:
    release.require_finished(_run(tmp_path / "done"))
    with pytest.raises(SystemExit, match="not at its end"):
        release.require_finished(_run(tmp_path / "half", step=45))


def test_a_recipe_is_told_without_paths(release: Any, tmp_path: Path) -> None:
    run = _run(tmp_path / "run")
    with pytest.raises(SystemExit, match=r"it has no recipe\.json"):
        release.read_recipe(run)
    paths = {"root": "/a/b", "pretrained": "/a/enc.safetensors", "unlabelled": "/a/streets", "teacher": "/a/x,/b/y"}
    (run / "recipe.json").write_text(json.dumps({"epochs": 3, **paths}))
    assert release.read_recipe(run) == {
        "epochs": 3, "pretrained": "enc.safetensors", "unlabelled": "streets", "teacher": "x,y",
    }  # fmt: skip


def test_the_figure_is_of_the_same_recipe(release: Any) -> None:
    shipped_by = {**asdict(recipe("camvid-streets")), "epochs": 7, "seed": 3, "train_split": "trainval"}
    release.require_same_recipe(shipped_by, "mine", ROWS)
    release.require_same_recipe({**shipped_by, "epochs": 8}, "mine", ROWS[2:])
    with pytest.raises(SystemExit, match="mine was trained with epochs 6, the network scored on 0006R0 with 7"):
        release.require_same_recipe({**shipped_by, "epochs": 6}, "mine", ROWS)
    with pytest.raises(SystemExit, match="has no drive of mine"):
        release.require_same_recipe(shipped_by, "mine", [])


def test_the_figure_says_what_was_scored(release: Any) -> None:
    by_drive = {"rows": ROWS}
    assert "11.00 % mIoU" in (whole := release.figure("mine", 7, by_drive))
    assert "three labelled drives" in whole
    assert "epochs" not in whole
    assert release.figure("mine", 8, by_drive).endswith(", but for 7 epochs instead of 8")
    assert f"1.00 % mIoU on streets that were not trained on: CamVid's {DRIVES[0]} alone" in release.figure(
        "mine", 7, {"rows": ROWS[:2]}
    )
    assert f"6.00 % mIoU on streets that were not trained on: the mean over {DRIVES[0]} and" in release.figure(
        "mine", 7, {"rows": ROWS[:4]}
    )


def test_terms_name_all_that_was_learnt_from(release: Any) -> None:
    assert "Cityscapes" not in (alone := release.terms(("camvid/train",), "none", streets=False))
    assert "research" in alone
    taught = release.terms(("camvid/train", "camvid/val", "cityscapes/train"), "mobilenet_v2_050.safetensors", True)
    for words in (
        "CamVid",
        "Cityscapes",
        "non-commercial",
        "India Driving Dataset",
        "nuScenes",
        "drive.ai",
        "PASCAL VOC",
    ):
        assert taught.count(words) == (2 if words == "non-commercial" else 1)
    with pytest.raises(SystemExit, match="no terms known for kitti"):
        release.terms(("camvid/train", "kitti/train"), "none", streets=False)


def test_figures_are_what_bcpnet_models_reads(release: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(release, "WEIGHTS", tmp_path)
    monkeypatch.setattr(shipped, "_FOLDER", tmp_path)
    for name, expected in (("mine", 0.3), ("unmeasured", None)):
        release.write_figures(name, 7, {"means": MEANS, "rows": ROWS}, "a test")
        assert shipped.figures(name) == shipped.Figures(7, expected, "a test")
    assert shipped.figures("yours") is None


def test_the_card_has_the_mean_of_seeds_by_class_and_drive(release: Any) -> None:
    metadata = Metadata("bcpnet", {}, CAMVID, 64, "made by a test", licence="as you like")
    card = release.model_card("mine", metadata, {"epochs": 7}, {"means": MEANS, "rows": ROWS, "command": "a command"})
    assert "| sky | 55.0 | 55.0 | 55.0 |" in card
    assert "| pole | absent | absent | absent |" in card
    assert "| **mIoU** | 1.0 | 11.0 | 21.0 |" in card
    assert "11.00 % mIoU on streets that were not trained on" in card
    assert "as you like" in card
