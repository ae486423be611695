"""tools/measure_regions.py: what it writes, and that the figures kept are its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from documents import ROOT
from tools_here import load_tool


def test_writes_what_was_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("pycocotools", reason="compares with pycocotools")
    out = tmp_path / "regions.json"
    assert load_tool("measure_regions").main(["--out", str(out), "--size", "96x128", "--repeats", "2"]) == 0
    report = json.loads(out.read_text())
    assert report["size_hw"] == [96, 128]
    assert report["classes"] > 3
    assert min(report["ms"].values()) > 0
    assert json.loads(capsys.readouterr().out) == report["ms"]
    kept = json.loads((ROOT / "results" / "regions.json").read_text())
    assert set(kept) == set(report)
    assert set(kept["ms"]) == set(report["ms"])
    assert kept["ms"]["rle_of_all_classes"] <= 2  # the target, at 1080 x 1920
    assert kept["size_hw"] == [1080, 1920]
