"""`bcpnet paper` as its users call it: small files in the place of the networks, all else as it is."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from command_line import Cli, assert_one_line, files
from one_convolution import METADATA, write_onnx

from bcpnet.metadata import KEY

pytest.importorskip("torch", reason="networks need PyTorch")
pytest.importorskip("matplotlib", reason="plots need Matplotlib")
from bcpnet.cli import paper
from bcpnet.networks.info import NetworkInfo
from bcpnet.paper import measure, run

PICTURES = {"accuracy.png", "latency.png", "figure2.png", "figure4.png", "figure5.jpg"}


class OneConvolution:
    """In the place of a `PreparedNetwork`, whose export takes many seconds."""

    parameters = 1000
    difference = 3e-6

    def __init__(self, name: str, _classes: int, _scenes: Any, folder: Path, **_: Any) -> None:
        folder.mkdir()
        self._path = write_onnx(folder / f"{name}.onnx", {KEY: replace(METADATA, network=name).to_json()})

    def weights(self, _backend: str | None = None) -> Path:
        return self._path


def no_count(name: str, _classes: int, sizes_hw: list[tuple[int, int]], **_: Any) -> NetworkInfo:
    return NetworkInfo(name, 1000, {}, {f"{height}x{width}": 10**6 for height, width in sizes_hw})


@pytest.fixture
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the files go that no option names."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def small_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "random_network", OneConvolution)
    monkeypatch.setattr(measure, "describe", no_count)
    monkeypatch.setattr(run, "count_rate", lambda *_: {"macs": 10**9})
    monkeypatch.setattr(paper, "_QUICK_NETWORKS", ("enet", "bcpnet"))
    monkeypatch.setattr(paper, "_QUICK_SIZES", ("32x40",))


@pytest.mark.usefixtures("small_networks", "in_folder")
def test_a_quick_run_and_what_follows(cli: Cli, tmp_path: Path) -> None:
    ran = cli("paper", "--quick")
    assert ran.code == 0, ran.err
    out = tmp_path / "paper-quick"
    assert files(out) == {"paper.md", "paper.json", "paper", *(f"paper/{name}" for name in PICTURES)}
    results = json.loads((out / "paper.json").read_text())
    assert list(results["networks"]) == ["enet", "bcpnet"]
    for entry in results["networks"].values():
        assert entry["difference"] == 3e-6
        measured = entry["times"]["32x40"]["onnxruntime"]
        assert 0 < measured["network_ms"] <= measured["ms"]
        assert 1 <= measured["frames"] <= 10
        assert measured["peak_mib"] is None or measured["peak_mib"] > 10
    assert {(row["network"], row["backend"]) for row in results["fastest"]["32x40"]["rows"]} >= {
        ("bcpnet", "onnxruntime"), ("enet", "onnxruntime"),
    }  # fmt: skip
    text = (out / "paper.md").read_text()
    assert "**A quick run" in text
    assert "/tmp" not in text
    assert ran.out.splitlines()[0].startswith("32x40: bcpnet ")
    assert ran.out.splitlines()[1] == f"{Path('paper-quick', 'paper.md')}, from {Path('paper-quick', 'paper.json')}"
    assert "1 of 12: enet, counting" in ran.err

    # All is there: the document is written anew, and nothing measured, not even on another machine.
    results["machine"]["cpu"] = "Example CPU"
    (out / "paper.json").write_text(json.dumps(results))
    again = cli("paper", "--quick")
    assert (again.code, again.err) == (0, "")
    assert "Example CPU" in (out / "paper.md").read_text()

    # Another size would have to be measured, and that goes on only where it began.
    before = (out / "paper.json").read_bytes()
    refused = cli("paper", "--quick", "--sizes", "48x64")
    assert_one_line(refused.err)
    assert refused.code == 1
    assert "its cpu was Example CPU" in refused.err
    assert (out / "paper.json").read_bytes() == before
    with_others = cli("paper", "--quick", "--threads", "1", "--fresh", "--networks", "enet", "--sizes", "32X40")
    assert with_others.code == 0
    fresh = json.loads((out / "paper.json").read_text())
    assert list(fresh["networks"]) == ["enet"]
    assert fresh["settings"]["threads"] == 1
    assert "cpu" in fresh["machine"]


@pytest.mark.usefixtures("no_news", "in_folder")
@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ("--networks unet", 2, ("unknown network 'unet'", "bcpnet", "camvid")),
        ("--sizes 64", 2, ("size '64'",)),
        ("--sizes 16x64", 2, ("size '16x64'",)),
        ("--threads 0", 2, ("0 threads",)),
        ("--limit 0", 2, ("0 s",)),
        ("--limit nan", 2, ("nan s",)),
        ("--camvid {bad}/none", 1, ("{bad}/none: no such folder",)),
        ("--camvid {bad}/folder", 1, ("{bad}/folder: no CamVid here",)),
        ("--camvid {bad}/missing_label", 1, ("no such label file",)),
        ("--results {bad}/bad.yaml", 1, ("{bad}/bad.yaml: not what `bcpnet paper` writes",)),
        ("--results {bad}/folder", 1, ("{bad}/folder",)),
        ("--quick --out {bad}/good.png", 1, ("{bad}/good.png", "cannot write")),
        ("--all", 2, ("--all",)),
    ],
)
def test_wrong_input(
    arguments: str,
    code: int,
    says: tuple[str, ...],
    bad: Path,
    cli: Cli,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    before = files(bad)
    ran = cli("paper", *arguments.format(bad=bad).split())
    assert_one_line(ran.err)
    assert ran.code == code, ran.err
    for words in says:
        assert words.format(bad=bad) in ran.err
    assert files(tmp_path) == set()
    assert files(bad) == before
