"""What `bcpnet paper` takes from other commands' results."""

from __future__ import annotations

import json
from pathlib import Path

from bcpnet.paper.published import ABLATION
from bcpnet.paper.recorded import read_elsewhere
from bcpnet.paper.results import new_results


def test_the_ablation_is_the_mean_of_its_seeds(tmp_path: Path) -> None:
    """The file that tools/ablate.py writes, with every variant of the paper's table."""
    rows = [
        {
            "variant": row.variant,
            "epochs": 16,
            "mean": 0.5 + place / 100,
            "spread": place / 1000,
            "miou": {"0": 0.5, "1": 0.6},
        }
        for place, row in enumerate(ABLATION)
    ]
    (tmp_path / "ablation-table5.json").write_text(json.dumps({"rows": rows}))
    results = new_results({})
    read_elsewhere(results, tmp_path)
    assert results["ablation"] is not None
    assert results["ablation"]["miou"] == {row.variant: 0.5 + place / 100 for place, row in enumerate(ABLATION)}
    assert results["ablation"]["spread"]["max3"] == 0.001
    assert "16 epochs, up to 2 seeds" in results["ablation"]["setup"]
    assert results["accuracy"] == {}


def test_the_paper_s_own_row_is_that_of_the_original(tmp_path: Path) -> None:
    """What tools/by_drive.py wrote; a row that it has no mean of stays as it is."""
    results = new_results({})
    for name, miou in (("camvid", 0.75), ("camvid-original", 0.65)):
        means = {name: {"0006R0": 0.1, "mean": miou}, "something-else": {"mean": 0.9}}
        (tmp_path / "by-drive.json").write_text(json.dumps({"means": means, "command": "python tools/by_drive.py"}))
        read_elsewhere(results, tmp_path)
    assert {row: (each["miou"], each["file"]) for row, each in results["accuracy"].items()} == {
        "camvid": (0.75, "results/by-drive.json"),
        "bcpnet": (0.65, "results/by-drive.json"),
    }


def test_without_results_nothing_changes(tmp_path: Path) -> None:
    results = new_results({})
    read_elsewhere(results, tmp_path)
    read_elsewhere(results, tmp_path / "missing")
    assert results == {**new_results({}), "machine": results["machine"]}
