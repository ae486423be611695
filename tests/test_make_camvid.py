"""tools/make_camvid.py: from pre-trained weights that lie there to the weights that ship, and no phase twice."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_data import make_camvid, save
from random_networks import random_network
from tools_here import load_tool

from bcpnet.labels import CAMVID, CITYSCAPES
from bcpnet.metadata import Metadata
from bcpnet.networks.checkpoint import load_checkpoint, save_checkpoint
from bcpnet.training.recipes import recipe
from bcpnet.weights import path_of


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A call of the tool on small data: teachers that know nothing, a recipe of a few steps."""
    make_camvid(tmp_path / "camvid", "folders")
    rng = np.random.default_rng(0)
    for index, size_hw in enumerate(((40, 50), (36, 64), (33, 33))):
        save(rng.integers(0, 256, (*size_hw, 3), np.uint8), tmp_path / "streets" / f"{index}.png")
    tool = load_tool("make_camvid")
    for name in tool.ESPNETS:
        network = random_network("bcpnet", len(CITYSCAPES))
        save_checkpoint(tmp_path / "runs" / f"{name}.safetensors", network, Metadata("bcpnet", {}, CITYSCAPES, 32))
    small = {"short_side": 32, "crop_h": 32, "crop_w": 32, "batch": 2, "micro_batch": 2, "unlabelled_batch": 1}
    monkeypatch.setattr(tool, "recipe", lambda name: replace(recipe(name), pretrained="none", **small))
    monkeypatch.setattr(tool, "keep_memory", lambda: None)
    # Exporting takes long and has tests of its own: what ships teaches here.
    camvid = path_of("camvid", ".onnx").read_bytes()
    monkeypatch.setattr(tool, "export_checkpoint", lambda _, out: out.write_bytes(camvid))

    def run() -> Path:
        folders = [word for key in ("root", "streets", "runs") for word in (f"--{key}", str(tmp_path / key))]
        folders[1] = str(tmp_path / "camvid")
        monkeypatch.setattr("sys.argv", ["make_camvid.py", "camvid-original", *folders, "--epochs", "1"])
        tool.main()
        return tmp_path / "runs" / "camvid-original"

    return run


def test_from_teachers_to_the_weights(make: Any, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make()
    _, metadata = load_checkpoint(folder / "last.safetensors")
    assert metadata.classes == CAMVID
    assert "streets without labels" in metadata.provenance
    assert {"camvid/train", "camvid/val"} <= set(metadata.trained_on)
    soft_labels = folder.parent / "soft_labels.npy"
    made = soft_labels.stat().st_mtime_ns
    capsys.readouterr()
    make()
    assert soft_labels.stat().st_mtime_ns == made
    assert "soft_labels" not in capsys.readouterr().out
