"""What a recipe makes of streets that it was not trained on: trained without each drive of CamVid, scored on it.

    python tools/by_drive.py NAME RECIPE --root CAMVID --runs DIR --set epochs=20 teacher={drive}.safetensors

`{drive}` in a value is the drive held out. Goes on where it was interrupted; a drive that is scored is not run again.
Writes results/by-drive.json, where other names stay as they are.
"""

from __future__ import annotations

import argparse
import json
import statistics
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from make_camvid import train

from bcpnet.backends import open_backend
from bcpnet.data import open_dataset
from bcpnet.data.camvid import DRIVES
from bcpnet.evaluation.evaluate import evaluate
from bcpnet.machine import describe_machine
from bcpnet.storage.files import write_bytes
from bcpnet.training.memory import keep_memory
from bcpnet.training.recipes import RECIPES, Recipe, recipe

RESULTS = Path(__file__).resolve().parents[1] / "results" / "by-drive.json"
SIZES_HW = ((270, 360), (360, 480), (450, 600), (540, 720), (720, 960))


def main() -> None:
    """Trains what is missing and scores it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", help="of the row in the results")
    parser.add_argument("recipe", choices=RECIPES)
    parser.add_argument("--root", type=Path, required=True, help="CamVid's folder")
    parser.add_argument("--runs", type=Path, required=True, help="folder for the runs")
    parser.add_argument("--set", nargs="*", default=[], metavar="FIELD=VALUE", help="fields of the recipe that differ")
    parser.add_argument("--drives", nargs="+", choices=DRIVES, default=DRIVES)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    options = parser.parse_args()
    keep_memory()
    changes = dict(one.split("=", 1) for one in options.set)
    for seed in options.seeds:
        for drive in options.drives:
            row = {"name": options.name, "drive": drive, "seed": seed}
            if any(row.items() <= done.items() for done in read_results()["rows"]):
                continue
            what = changed(recipe(options.recipe), {key: value.format(drive=drive) for key, value in changes.items()})
            what = replace(what, train_split=f"without-{drive}", val_split="none", seed=seed)
            told = {key: Path(value).name for key, value in changes.items()}  # not where files lie
            row |= {"recipe": options.recipe, "changes": told}
            row |= train_and_score(what, drive, options.root, run_of(options.runs, row))
            write_row(row)
            print(f"{options.name}, without {drive}, seed {seed}: {100 * row['miou']:.2f}", flush=True)


def changed(base: Recipe, changes: dict[str, str]) -> Recipe:
    """The recipe with fields given as text; JSON where a field is no text."""
    kinds = asdict(base)
    for key in changes:
        if key not in kinds:
            raise SystemExit(f"a recipe has no field {key!r}; it has {', '.join(kinds)}")
    values: dict[str, Any] = {
        key: value if isinstance(kinds[key], str) else json.loads(value) for key, value in changes.items()
    }
    return replace(base, **values)


def train_and_score(what: Recipe, drive: str, root: Path, run: Path) -> dict[str, Any]:
    """Trains, or goes on with it, then evaluates as `bcpnet evaluate` does, in PyTorch."""
    return score(train(what, root, run), drive, root)


def score(weights: Path, drive: str, root: Path) -> dict[str, Any]:
    """IoU of each class, and mIoU by the size of the network's input."""
    backend, dataset = open_backend(weights, "pytorch"), open_dataset("camvid", root, drive)
    scores = evaluate(backend, dataset).scores
    by_size = {f"{size[0]}x{size[1]}": evaluate(backend, dataset, size_hw=size).scores.miou for size in SIZES_HW}
    return {"miou": scores.miou, "iou": scores.iou, "by_size": by_size}


def run_of(runs: Path, row: dict[str, Any]) -> Path:
    """The folder of the run that a row scores."""
    return runs / f"{row['name']}-{row['drive']}-{row['seed']}"


def read_results() -> dict[str, Any]:
    """The content of results/by-drive.json: `rows`, and for each name that has all drives its `means`."""
    if not RESULTS.exists():
        return {"rows": [], "means": {}}
    content: dict[str, Any] = json.loads(RESULTS.read_text())
    return content


def write_row(row: dict[str, Any]) -> None:
    """Adds a row, in place of one of the same name, drive and seed."""

    def key(row: dict[str, Any]) -> tuple[str, str, int]:
        return row["name"], row["drive"], row["seed"]

    rows = sorted([*(old for old in read_results()["rows"] if key(old) != key(row)), row], key=key)
    means = {}
    for name in dict.fromkeys(row["name"] for row in rows):
        by_drive = {
            drive: [row["miou"] for row in rows if (row["name"], row["drive"]) == (name, drive)] for drive in DRIVES
        }
        if all(by_drive.values()):
            means[name] = {drive: statistics.mean(miou) for drive, miou in by_drive.items()}
            means[name]["mean"] = statistics.mean(means[name].values())
    command = "python tools/by_drive.py NAME RECIPE --root CAMVID --runs DIR --set FIELD=VALUE ..."
    content = {"dataset": "camvid", "command": command, "means": means, "rows": rows, "machine": describe_machine()}
    write_bytes(RESULTS, (json.dumps(content, indent=2) + "\n").encode())


if __name__ == "__main__":
    main()
