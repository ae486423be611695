"""The recipes for other engines in docs/batch.md, each run as it stands there, where its engine is installed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from documents import ROOT
from media_files import scene

pytest.importorskip("pyarrow", reason="batches need pyarrow: .[batch]")

import pyarrow.dataset as ds

import bcpnet
from bcpnet.media.images import save_image

RECIPES = re.findall(r"^```py\n(.*?)^```$", (ROOT / "docs" / "batch.md").read_text(), re.DOTALL | re.MULTILINE)


@pytest.mark.slow
@pytest.mark.parametrize(("engine", "also"), [("ray", "pandas"), ("pyspark", "pandas"), ("daft", "pyarrow")])
def test_recipe(engine: str, also: str, tmp_path: Path) -> None:
    for name in (engine, also):
        pytest.importorskip(name, reason=f"the recipe for {engine} needs it")
    (recipe,) = [text for text in RECIPES if f"import {engine}\n" in text or f"from {engine}." in text]
    for number in range(3):
        save_image(tmp_path / "frames" / f"{number}.png", scene(number, 60, 80))
    save_image(tmp_path / "frames" / "3.png", scene(3, 60, 80))
    broken = tmp_path / "frames" / "3.png"
    broken.write_bytes(broken.read_bytes()[:100])
    environment = {**os.environ, "PYSPARK_PYTHON": sys.executable, "RAY_ADDRESS": "local"}
    ran = subprocess.run(
        [sys.executable, "-c", recipe], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    rows = ds.dataset(tmp_path / "segmented", format="parquet").to_table().to_pylist()
    assert sorted(Path(row["path"]).name for row in rows) == ["0.png", "1.png", "2.png", "3.png"]
    segmenter = bcpnet.load("camvid")
    for row in rows:
        name = Path(row["path"]).name
        assert (row["error"] is None) == (name != "3.png")
        if row["error"] is None:
            result = segmenter(tmp_path / "frames" / name)
            assert np.allclose(list(row["shares"].values()), list(result.shares().values()), atol=1e-6)
            assert {key: code for key, code in row["rle"].items() if code is not None} == _codes(result)


def _codes(result: bcpnet.Segmentation) -> dict[str, str]:
    dataset = result.to_coco("any")
    names = {category["id"]: category["name"] for category in dataset["categories"]}
    return {names[entry["category_id"]]: entry["segmentation"]["counts"] for entry in dataset["annotations"]}
