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
            rows = json.loads(RESULTS.read_text())["rows"] if RESULTS.exists() else []
            if any((row["name"], row["drive"], row["seed"]) == (options.name, drive, seed) for row in rows):
                continue
            what = changed(recipe(options.recipe), {key: value.format(drive=drive) for key, value in changes.items()})
            what = replace(what, train_split=f"without-{drive}", val_split="none", seed=seed)
            told = {key: Path(value).name for key, value in changes.items()}  # not where files lie
            row = {"name": options.name, "drive": drive, "seed": seed, "recipe": options.recipe, "changes": told}
            row |= train_and_score(what, drive, options.root, options.runs / f"{options.name}-{drive}-{seed}")
            write(sorted([*rows, row], key=lambda row: (row["name"], row["drive"], row["seed"])))
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
    weights = train(what, root, run)
    scores = evaluate(open_backend(weights, "pytorch"), open_dataset("camvid", root, drive)).scores
    return {"miou": scores.miou, "iou": scores.iou}


def write(rows: list[dict[str, Any]]) -> None:
    """The rows, and for each name the mean over drives where all are there."""
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
