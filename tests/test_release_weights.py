"""tools/release_weights.py: no figure on val of weights that have seen it, themselves or through what taught them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from random_networks import random_network
from tools_here import load_tool

from bcpnet.labels import CAMVID
from bcpnet.metadata import Metadata
from bcpnet.networks.checkpoint import save_checkpoint


@pytest.fixture
def release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The tool as a module, in an empty repository."""
    module = load_tool("release_weights")
    monkeypatch.setattr(module, "RESULTS", tmp_path / "results")
    return module


def _run(folder: Path, split: str = "train", pretrained: str = "none", teacher: str = "none", step: int = 90) -> Path:
    folder.mkdir(parents=True)
    recipe = {"train_split": split, "pretrained": pretrained, "teacher": teacher}
    (folder / "recipe.json").write_text(json.dumps(recipe))
    told = f"camvid {split}, 367 images, from random weights; step {step} of 90 (epoch 2 of 2), seed 0"
    save_checkpoint(
        folder / "last.safetensors", random_network("bcpnet", len(CAMVID)), Metadata("bcpnet", {}, CAMVID, 64, told)
    )
    return folder


def test_what_was_seen_on_the_way_counts(release: Any, tmp_path: Path) -> None:
    clean, seen = (_run(tmp_path / split, split) / "last.safetensors" for split in ("train", "trainval"))
    release.require_unseen_val(_run(tmp_path / "a", pretrained=str(clean)))
    release.require_unseen_val(_run(tmp_path / "b", pretrained="mobilenet_v2_050.safetensors", teacher=str(clean)))
    for number, source in enumerate(
        ({"pretrained": str(seen)}, {"teacher": f"{clean},{seen}"}, {"pretrained": "camvid"})
    ):
        with pytest.raises(SystemExit, match="val was seen by"):
            release.require_unseen_val(_run(tmp_path / f"bad-{number}", **source))
    with pytest.raises(SystemExit, match="val was seen by"):
        release.require_unseen_val(tmp_path / "trainval")


def test_what_is_named_only_is_looked_for_in_results(release: Any, tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    _run(tmp_path / "train").joinpath("last.safetensors").rename(tmp_path / "results" / "stage.safetensors")
    release.require_unseen_val(_run(tmp_path / "a", pretrained="elsewhere/stage.safetensors"))


def test_a_run_that_is_not_at_its_end_is_not_released(release: Any, tmp_path: Path) -> None:
    release.require_finished(_run(tmp_path / "done"))
    with pytest.raises(SystemExit, match="not at its end"):
        release.require_finished(_run(tmp_path / "half", step=45))
