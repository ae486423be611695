"""What other commands measured: the files in results/ of this checkout."""

from __future__ import annotations

import json
from pathlib import Path

from bcpnet.paper.results import SHIPPED, Results

_FOLDER = Path(__file__).resolve().parents[3] / "results"
# The weights whose accuracy a row tells: results/NAME-val.json, of `bcpnet evaluate`.
WEIGHTS = {SHIPPED: SHIPPED, "bcpnet": "camvid-original"}
_ABLATION = "ablation-table5.json"  # of `tools/ablate.py table5`


def read_elsewhere(results: Results, folder: Path = _FOLDER) -> None:
    """Puts accuracy and ablation into `results`; an installed package, which lacks the folder, keeps what is there."""
    if not folder.is_dir():
        return
    for row, weights in WEIGHTS.items():
        file = folder / f"{weights}-val.json"
        if file.is_file():
            measured = json.loads(file.read_bytes())
            kept = ("dataset", "split", "miou", "trained", "command")
            results["accuracy"][row] = {**{key: measured[key] for key in kept}, "file": f"results/{file.name}"}
    if (folder / _ABLATION).is_file():
        rows = json.loads((folder / _ABLATION).read_bytes())["rows"]
        seeds = max(len(row["miou"]) for row in rows)
        results["ablation"] = {
            "setup": f"CamVid val, crops of 270x360 and 360x480, {rows[0]['epochs']} epochs, up to {seeds} seeds",
            "command": f"python tools/ablate.py table5 --epochs {rows[0]['epochs']} --root DIR --runs RUNS",
            "miou": {row["variant"]: row["mean"] for row in rows},
            "spread": {row["variant"]: row["spread"] for row in rows},
        }
