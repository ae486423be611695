"""The paper's Table 5 on CamVid: its variants trained alike, for several seeds, scored on val. Resumable.

    python tools/ablate.py --root CAMVID --runs DIR

Every finished run leaves results/ablation/table5-VARIANT-SEED.json; those that are there are not run again, and one
that was interrupted goes on from its folder under --runs. Seeds come in the outer loop, so that a comparison of all
variants is there early. docs/ablation-table5.png and results/ablation-table5.json sum up what there is.
"""

from __future__ import annotations

import argparse
import json
import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt

from bcpnet.data import open_dataset
from bcpnet.machine import describe_machine
from bcpnet.storage.files import atomic_path, write_bytes
from bcpnet.training.fit import Progress, RunInterruptedError, fit
from bcpnet.training.recipes import Recipe, camvid

REPOSITORY = Path(__file__).resolve().parents[1]
_FAITHFUL = {"encoder": "mobilenet_v3_small", "bcp": True, "pooling": "max3", "finest": 3}
_SMALL_CROP = {"crop_h": 270, "crop_w": 360}  # half the area in half the time, objects as large as ever

# Variant -> what it changes of the first, which changes the recipe `camvid`: the paper's network, from random weights;
# for its crops of 768 and 1024, three quarters of the image and the whole.
VARIANTS: dict[str, dict[str, Any]] = {
    "max3": {
        "options": _FAITHFUL, "pretrained": "none", "class_weights": "none", "short_side": 360, "scale_max": 2.0,
        **_SMALL_CROP,
    },
    "no-bcp": {"options": {**_FAITHFUL, "bcp": False}},
    "avg3": {"options": {**_FAITHFUL, "pooling": "avg3"}},
    "max5": {"options": {**_FAITHFUL, "pooling": "max5"}},
    "max3-large": {"crop_h": 360, "crop_w": 480},
}  # fmt: skip


def main() -> None:
    """Runs what is missing, then sums up."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True, help="CamVid's folder")
    parser.add_argument("--runs", type=Path, required=True, help="folder for the runs")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--variants", nargs="+", help="only these, for several processes to share the work")
    parser.add_argument("--results", type=Path, default=REPOSITORY / "results", help="folder for the JSON")
    parser.add_argument("--docs", type=Path, default=REPOSITORY / "docs", help="folder for the plot")
    options = parser.parse_args()
    if unknown := set(options.variants or []) - set(VARIANTS):
        parser.error(f"no variant {', '.join(sorted(unknown))}: choose from {', '.join(VARIANTS)}")
    base = replace(camvid(), epochs=options.epochs, eval_epochs=options.epochs)
    base = replace(base, **next(iter(VARIANTS.values())))
    for seed in options.seeds:
        for variant in options.variants or VARIANTS:
            changes = VARIANTS[variant]
            name = f"table5-{variant}-{seed}"
            result = options.results / "ablation" / f"{name}.json"
            if result.exists():
                check(json.loads(result.read_text()), options.epochs, changes, result)
                continue
            miou = train(replace(base, seed=seed, **changes), options.root, options.runs / name)
            row = {"group": "table5", "variant": variant, "seed": seed, "epochs": options.epochs, "miou": miou}
            write_json(result, {**row, "changes": changes, "machine": describe_machine()})
            print(f"{name}: {100 * miou:.2f}", flush=True)
            sum_up(options.results, options.docs)
    sum_up(options.results, options.docs)


def check(row: dict[str, Any], epochs: int, changes: dict[str, Any], result: Path) -> None:
    """A result of other epochs or another variant of this name must not count."""
    if (row["epochs"], row["changes"]) != (epochs, changes):
        raise SystemExit(
            f"{result}: of {row['epochs']} epochs and {row['changes']}, not {epochs} and {changes}; "
            "choose its --epochs, or another folder with --results"
        )


def train(recipe: Recipe, root: Path, run: Path) -> float:
    """The run's mIoU on val after its last epoch; goes on with a run that was interrupted."""
    train_split, val = (open_dataset(recipe.dataset, root, split) for split in (recipe.train_split, recipe.val_split))

    def report(progress: Progress) -> None:
        print(f"{run.name}: step {progress.step}/{progress.steps}, loss {progress.loss:.3f}", end="\r", flush=True)

    try:
        fit(recipe, train_split, val, run, resume=(run / "state.pt").exists(), report=report)
    except RunInterruptedError as stop:
        raise SystemExit(f"{stop}; go on with the same command") from stop
    return float(json.loads((run / "history.jsonl").read_text().splitlines()[-1])["miou"])


def sum_up(results: Path, docs: Path) -> None:
    """Writes results/ablation-table5.json and the plot from the runs that are finished."""
    rows = []
    for variant, changes in VARIANTS.items():
        runs = [json.loads(path.read_text()) for path in sorted(results.glob(f"ablation/table5-{variant}-[0-9]*.json"))]
        if runs:
            miou = [run["miou"] for run in runs]
            spread = statistics.stdev(miou) if len(miou) > 1 else None
            mean = statistics.mean(miou)
            row = {"variant": variant, "changes": changes, "epochs": runs[0]["epochs"], "mean": mean, "spread": spread}
            rows.append({**row, "miou": {str(run["seed"]): run["miou"] for run in runs}})
    if not rows:
        return
    command = f"python tools/ablate.py --epochs {rows[0]['epochs']} --root CAMVID --runs DIR"
    content = {"group": "table5", "command": command, "rows": rows, "machine": describe_machine()}
    write_json(results / "ablation-table5.json", content)
    figure, axes = plt.subplots(figsize=(7, 0.5 * len(rows) + 1), layout="constrained")
    for place, row in enumerate(rows):
        axes.plot([100 * value for value in row["miou"].values()], [place] * len(row["miou"]), "o", color="tab:blue")
        axes.plot(100 * row["mean"], place, "|", color="black", markersize=18)
    axes.set_yticks(range(len(rows)), [row["variant"] for row in rows])
    axes.invert_yaxis()
    axes.set_xlabel(f"mIoU on CamVid val, %, after {rows[0]['epochs']} epochs; a dot is a seed, a bar their mean")
    axes.grid(axis="x", alpha=0.3)
    with atomic_path(docs / "ablation-table5.png") as temporary:
        figure.savefig(temporary, dpi=110)
    plt.close(figure)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, (json.dumps(content, indent=2) + "\n").encode())


if __name__ == "__main__":
    main()
