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
    """Two files that `bcpnet evaluate` wrote; what is there already stays where a file is missing."""
    told = {"dataset": "camvid", "split": "val", "trained": "on train", "command": "bcpnet evaluate", "images": 101}
    results = new_results({})
    for name, miou in (("camvid", 0.75), ("camvid-original", 0.65)):
        (tmp_path / f"{name}-val.json").write_text(json.dumps({**told, "miou": miou}))
        read_elsewhere(results, tmp_path)
        (tmp_path / f"{name}-val.json").unlink()
    assert {row: (each["miou"], each["file"]) for row, each in results["accuracy"].items()} == {
        "camvid": (0.75, "results/camvid-val.json"),
        "bcpnet": (0.65, "results/camvid-original-val.json"),
    }


def test_without_results_nothing_changes(tmp_path: Path) -> None:
    results = new_results({})
    read_elsewhere(results, tmp_path)
    read_elsewhere(results, tmp_path / "missing")
    assert results == {**new_results({}), "machine": results["machine"]}
