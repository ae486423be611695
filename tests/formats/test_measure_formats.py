"""tools/measure_formats.py: what it writes, and that the figures kept are its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from documents import ROOT
from tools_here import load_tool


def test_the_figures_kept_are_within_the_bounds() -> None:
    kept = json.loads((ROOT / "results" / "formats.json").read_text())
    found = {(row["format"], row["weights"]): row for row in kept["formats"]}
    assert set(found) == {
        ("onnx", "camvid"), ("onnx", "camvid-int8"), ("litert", "camvid"), ("litert", "camvid-int8"), ("ncnn", "camvid")
    }  # fmt: skip
    for (_, weights), row in found.items():
        assert row["same_as_onnx"] >= (0.98 if weights.endswith("int8") else 0.999)


@pytest.mark.slow
def test_writes_what_was_measured(tmp_path: Path) -> None:
    for package in ("onnx_ir", "ai_edge_litert", "ncnn", "pnnx"):
        pytest.importorskip(package, reason="measures every format")
    out = tmp_path / "formats.json"
    assert load_tool("measure_formats").main(["--out", str(out), "--size", "64x96", "--frames", "1"]) == 0
    report, kept = (json.loads(path.read_text()) for path in (out, ROOT / "results" / "formats.json"))
    assert (report["size_hw"], report["frames"]) == ([64, 96], 1)
    assert set(report) == set(kept)
    assert [set(row) for row in report["formats"]] == [set(row) for row in kept["formats"]]
