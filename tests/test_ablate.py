"""tools/ablate.py: what is missing is run, what is there is not, and the summary is of all of it."""

from __future__ import annotations

import json
import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tools_here import load_tool

from bcpnet.networks.info import describe
from bcpnet.paper.published import ABLATION
from bcpnet.training.recipes import camvid

pytest.importorskip("matplotlib")


@pytest.fixture
def ablate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The tool as a module, and whom it asked to train in `asked`; a seed is worth a hundredth, "two" a tenth."""
    module = load_tool("ablate")
    module.VARIANTS = {"one": {"flip": False}, "two": {"jitter": 0.1}}
    module.asked = []

    def train(recipe: Any, root: Path, run: Path) -> float:
        del root
        assert not recipe.flip  # as the first variant says
        module.asked.append((run.name, recipe.seed, recipe.jitter, recipe.epochs))
        return float(0.5 + recipe.seed / 100 + (recipe.jitter == 0.1) / 10)

    monkeypatch.setattr(module, "train", train)

    def main(*seeds: str, variants: tuple[str, ...] = ()) -> Any:
        folders = ["--root", "-", "--runs", "-", "--results", str(tmp_path), "--docs", str(tmp_path)]
        chosen = ["--variants", *variants] if variants else []
        monkeypatch.setattr("sys.argv", ["ablate.py", *folders, "--epochs", "3", "--seeds", *seeds, *chosen])
        module.main()
        return json.loads((tmp_path / "ablation-table5.json").read_text())

    module.run = main
    return module


def test_only_what_is_missing_is_run(ablate: Any) -> None:
    own = ablate.camvid().jitter
    ablate.run("0")
    assert ablate.asked == [("table5-one-0", 0, own, 3), ("table5-two-0", 0, 0.1, 3)]
    ablate.run("0", "7")
    assert ablate.asked[2:] == [("table5-one-7", 7, own, 3), ("table5-two-7", 7, 0.1, 3)]


def test_results_of_something_else_do_not_count(ablate: Any, tmp_path: Path) -> None:
    ablate.run("0")
    (tmp_path / "ablation" / "table5-two-0.json").unlink()
    ablate.VARIANTS["one"] = {"flip": False, "momentum": 0.5}
    with pytest.raises(SystemExit, match=r"table5-one-0\.json: of 3 epochs and \{'flip': False\}, not"):
        ablate.run("0")
    assert len(ablate.asked) == 2


def test_processes_share_the_work(ablate: Any) -> None:
    ablate.run("0", variants=("two",))
    assert ablate.asked == [("table5-two-0", 0, 0.1, 3)]
    assert [row["variant"] for row in ablate.run("0")["rows"]] == ["one", "two"]
    assert len(ablate.asked) == 2


def test_the_summary_is_mean_and_spread_of_all_seeds(ablate: Any, tmp_path: Path) -> None:
    ablate.run("0", "7")
    summary = ablate.run("3")
    assert summary["command"] == "python tools/ablate.py --epochs 3 --root CAMVID --runs DIR"
    one, two = summary["rows"]
    assert one["miou"] == pytest.approx({"0": 0.5, "3": 0.53, "7": 0.57})
    assert one["mean"] == pytest.approx(1.6 / 3)
    assert one["spread"] == pytest.approx(statistics.stdev([0, 0.03, 0.07]))
    assert two["mean"] - one["mean"] == pytest.approx(0.1)
    assert two["changes"] == {"jitter": 0.1}
    assert Image.open(tmp_path / "ablation-table5.png").size[0] > 300


def test_table_5_has_the_papers_rows() -> None:
    assert set(load_tool("ablate").VARIANTS) == {row.variant for row in ABLATION}


def test_every_variant_is_a_recipe_of_its_own() -> None:
    variants = load_tool("ablate").VARIANTS
    first = replace(camvid(), **next(iter(variants.values())))
    recipes = [replace(first, **changes) for changes in variants.values()]
    for recipe in recipes:
        describe(recipe.network, 11, [], **recipe.options)
    assert len({recipe.to_json() for recipe in recipes}) == len(recipes)


def test_an_interrupted_run_says_how_to_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = load_tool("ablate")

    def stop(*_: Any, **__: Any) -> None:
        raise module.RunInterruptedError("stopped at step 3 of 9")

    monkeypatch.setattr(module, "open_dataset", lambda *_: None)
    monkeypatch.setattr(module, "fit", stop)
    with pytest.raises(SystemExit, match="stopped at step 3 of 9; go on with the same command"):
        module.train(camvid(), tmp_path, tmp_path / "run")
