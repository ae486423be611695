"""tools/release_weights.py: no score on val of weights that saw it; figures that `bcpnet models` can read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from random_networks import random_network
from tools_here import load_tool

from bcpnet import weights as shipped
from bcpnet.labels import CAMVID
from bcpnet.metadata import Metadata
from bcpnet.networks.checkpoint import save_checkpoint


@pytest.fixture
def release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The tool as a module, in an empty repository."""
    module = load_tool("release_weights")
    monkeypatch.setattr(module, "RESULTS", tmp_path / "results")
    return module


def _run(folder: Path, *seen: str, step: int = 90) -> Path:
    """What the tool reads of a run: weights that know which splits they and those they came from have seen."""
    folder.mkdir(parents=True)
    told = f"camvid, 367 images, from random weights; step {step} of 90 (epoch 2 of 2), seed 0"
    metadata = Metadata("bcpnet", {}, CAMVID, 64, told, trained_on=seen)
    save_checkpoint(folder / "last.safetensors", random_network("bcpnet", len(CAMVID)), metadata)
    return folder


def test_no_score_on_val_for_weights_that_saw_it(release: Any, tmp_path: Path) -> None:
    release.require_unseen_val(_run(tmp_path / "a", "camvid/train"))
    release.require_unseen_val(_run(tmp_path / "b", "camvid/train", "cityscapes/train"))
    with pytest.raises(SystemExit, match="weights that saw camvid/train, camvid/val"):
        release.require_unseen_val(_run(tmp_path / "c", "camvid/train", "camvid/val"))
    for number, seen in enumerate(((), ("camvid/train", "unknown"))):
        with pytest.raises(SystemExit, match=r"no score on val for weights that saw .*know"):
            release.require_unseen_val(_run(tmp_path / f"unknown-{number}", *seen))


def test_a_run_that_is_not_at_its_end_is_not_released(release: Any, tmp_path: Path) -> None:
    release.require_finished(_run(tmp_path / "done"))
    with pytest.raises(SystemExit, match="not at its end"):
        release.require_finished(_run(tmp_path / "half", step=45))


@pytest.mark.parametrize("weights", ["mine", "results/mine-train.safetensors"])
def test_figures_are_what_bcpnet_models_reads(
    weights: str, release: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (release, shipped):
        monkeypatch.setattr(module, "WEIGHTS" if module is release else "_FOLDER", tmp_path)
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "mine-val.json").write_text(json.dumps({"miou": 0.5, "weights": weights}))
    (tmp_path / "results" / "mine-info.json").write_text(json.dumps({"parameters": 7}))
    release.write_figures("mine", "a test")
    scored = None if weights == "mine" else weights
    assert shipped.figures("mine") == shipped.Figures(7, 0.5, scored, "a test")
    assert shipped.figures("yours") is None
