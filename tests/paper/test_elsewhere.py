"""What `bcpnet paper` takes from other commands' results."""

from __future__ import annotations

import json
from pathlib import Path

from bcpnet.paper.elsewhere import read_elsewhere
from bcpnet.paper.published import ABLATION
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


def test_without_results_nothing_changes(tmp_path: Path) -> None:
    results = new_results({})
    read_elsewhere(results, tmp_path)
    read_elsewhere(results, tmp_path / "missing")
    assert results == {**new_results({}), "machine": results["machine"]}
