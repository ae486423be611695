"""`bcpnet models`: what ships, with the figures that a release measured."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import Cli

from bcpnet import weights

RESULTS = Path(__file__).resolve().parents[2] / "results"


def test_as_they_ship(cli: Cli) -> None:
    """Every figure is that of results/, where a command left it; none is made up where there is none."""
    models = json.loads(cli("models", "--json").out)
    text = cli("models").out
    means = json.loads((RESULTS / "by-drive.json").read_text())["means"]
    assert [model["name"] for model in models] == weights.shipped()
    for model in models:
        name = model["name"]
        unseen = means[name]["mean"] if name in means else None
        assert model["unseen_miou"] == unseen
        (row,) = (line for line in text.splitlines() if line.split()[0] == name)
        score = "  -  " if unseen is None else f"  {100 * unseen:.2f} %"
        for words in (score, f"{model['parameters'] / 1e6:.2f} M", "11 (camvid)", " MB"):
            assert words in row
        assert row.endswith(model["meant_for"])


@pytest.fixture
def folder(onnx_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A weights folder with one network, called camvid."""
    folder = tmp_path / "weights"
    folder.mkdir()
    (folder / "camvid.onnx").write_bytes(onnx_path.read_bytes())
    monkeypatch.setattr(weights, "_FOLDER", folder)
    return folder


def test_what_was_not_measured_is_left_open(folder: Path, cli: Cli) -> None:
    (folder / ".camvid.0123abcd.onnx").touch()  # one that is being written
    ran = cli("models")
    assert (ran.code, ran.err) == (0, "")
    row = ran.out.splitlines()[1]
    assert row.split()[:6] == ["camvid", "bcpnet", "-", "11", "(camvid)", "-"]
    (model,) = json.loads(cli("models", "--json").out)
    assert model["short_side"] == 360
    assert model["provenance"] == "made by a test"
    assert {"network", "options", "licence", "onnx_mb", "trained_on"} <= set(model)
    assert model["classes"]["names"][3] == "road"


@pytest.mark.usefixtures("folder")
def test_camvid_is_what_predict_uses_by_default(cli: Cli, picture: Path, tmp_path: Path) -> None:
    assert cli("predict", picture, "--out", tmp_path / "out").code == 0
