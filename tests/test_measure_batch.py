"""tools/measure_batch.py: its arithmetic, and a small trial."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from documents import ROOT

pytest.importorskip("pyarrow", reason="batches need pyarrow: .[batch]")


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch) -> Any:
    """As a module by its name, which its dataclass looks for."""
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    return importlib.import_module("measure_batch")


def test_the_plan_follows_from_the_rate(tool: Any) -> None:
    row = {"frames_per_s": 1000 / 36, "peak_mib_of_a_process": 102.4, "bytes_written_per_frame": 2500}
    plan = tool.plan(row, bytes_read_per_frame=36_000, price=0.5)
    assert (plan["cores"], plan["memory_gib"]) == (10.0, 1.0)
    assert (plan["read_mb_per_s"], plan["written_gb_per_million_frames"]) == (10.0, 2.5)
    assert plan["usd_per_million_frames"] == 5.0


def test_class_maps_that_differ_are_seen(tool: Any, tmp_path: Path) -> None:
    (unit,) = tool.write_images(tmp_path / "in", 2)
    assert tool.Watched(str(tmp_path / "out"), "digest")(unit).rows == 2
    names = tool.bcpnet.load("camvid").backend.metadata.classes.names
    rows = tool.read_rows(tmp_path / "out")
    assert tool.equal_class_maps(rows, names)
    rows[1]["rle"]["road"] += "0"
    assert not tool.equal_class_maps(rows, names)


@pytest.mark.slow
def test_a_trial(tmp_path: Path) -> None:
    out = tmp_path / "batch.json"
    command = [
        sys.executable,
        ROOT / "tools" / "measure_batch.py",
        "--images",
        "48",
        "--engines",
        "local",
        "--out",
        out,
    ]
    subprocess.run(command, check=True, capture_output=True)
    found = json.loads(out.read_text())
    assert [row["workers"] for row in found["rows"]] == [1, 2]
    assert all(row["equal_to_predict"] and row["frames"] == 48 for row in found["rows"])
    assert found["machine"]["cpu"]
