"""What other commands measured: the files in results/ of this checkout."""

from __future__ import annotations

import json
from pathlib import Path

from bcpnet.paper.results import SHIPPED, Results

_FOLDER = Path(__file__).resolve().parents[3] / "results"
_BY_DRIVE = "by-drive.json"  # of `tools/by_drive.py`
# The weights whose accuracy a row tells.
WEIGHTS = {SHIPPED: SHIPPED, "bcpnet": "camvid-original"}
_ABLATION = "ablation-table5.json"  # of `tools/ablate.py`


def read_elsewhere(results: Results, folder: Path = _FOLDER) -> None:
    """Puts accuracy and ablation into `results`; an installed package, which lacks the folder, keeps what is there."""
    if not folder.is_dir():
        return
    if (folder / _BY_DRIVE).is_file():
        by_drive = json.loads((folder / _BY_DRIVE).read_bytes())
        for row, weights in WEIGHTS.items():
            if weights in by_drive["means"]:
                results["accuracy"][row] = {
                    "dataset": "camvid",
                    "split": "drives held out, mean",
                    "miou": by_drive["means"][weights]["mean"],
                    "trained": "the other drives",
                    "command": by_drive["command"],
                    "file": f"results/{_BY_DRIVE}",
                }
    if (folder / _ABLATION).is_file():
        rows = json.loads((folder / _ABLATION).read_bytes())["rows"]
        seeds = max(len(row["miou"]) for row in rows)
        results["ablation"] = {
            "setup": f"CamVid val, crops of 270x360 and 360x480, {rows[0]['epochs']} epochs, up to {seeds} seeds",
            "command": f"python tools/ablate.py --epochs {rows[0]['epochs']} --root DIR --runs RUNS",
            "miou": {row["variant"]: row["mean"] for row in rows},
            "spread": {row["variant"]: row["spread"] for row in rows},
        }
