"""tools/make_camvid.py: from pre-trained weights that lie there to the mean of the last stage, and no phase twice."""

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
    monkeypatch.setattr(tool, "LAST", small)
    # Exporting takes long and has tests of its own: what ships teaches here.
    camvid = path_of("camvid", ".onnx").read_bytes()
    monkeypatch.setattr(tool, "export_checkpoint", lambda _, out: out.write_bytes(camvid))

    def run(*more: str) -> Path:
        folders = [word for key in ("root", "streets", "runs") for word in (f"--{key}", str(tmp_path / key))]
        folders[1] = str(tmp_path / "camvid")
        monkeypatch.setattr("sys.argv", ["make_camvid.py", "camvid-original", *folders, "--epochs", "1", "1", *more])
        tool.main()
        return tmp_path / "runs" / "camvid-original"

    return run


def test_from_teachers_to_the_mean_of_seeds(make: Any, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make("--seeds", "0", "1")
    network, metadata = load_checkpoint(folder / "mean.safetensors")
    assert metadata.classes == CAMVID
    assert "mean of seeds 0 and 1" in metadata.provenance
    assert "streets without labels" in metadata.provenance
    ends = [load_checkpoint(folder / f"last-{seed}" / "last.safetensors")[0].state_dict() for seed in (0, 1)]
    for name, tensor in network.state_dict().items():
        assert np.allclose(tensor.double(), (ends[0][name].double() + ends[1][name].double()) / 2, atol=1e-6)
    assert (ends[0]["head.weight"] != ends[1]["head.weight"]).any()

    made = {path: path.stat().st_mtime_ns for path in folder.rglob("*.npy")}
    assert made
    capsys.readouterr()
    make("--seeds", "0", "1")
    assert {path: path.stat().st_mtime_ns for path in made} == made
    assert "soft_labels" not in capsys.readouterr().out
