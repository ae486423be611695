"""From nothing to the weights that ship: every phase in order; what is done is skipped, what broke off goes on.

    python tools/make_camvid.py camvid --root CAMVID --streets DIR --runs DIR
    python tools/make_camvid.py camvid-original --root CAMVID --streets DIR --runs DIR

DIR of --streets holds images of other streets, without labels; --runs keeps everything in between. The result is
RUNS/NAME/last.safetensors; how long the training took is in its history.jsonl.

Phases: ESPNetv2's Cityscapes weights (two sizes) and a pre-trained encoder are fetched; the two teachers look at the
other streets once; the network learns what they saw there, beside CamVid's labels.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from bcpnet.data import open_dataset
from bcpnet.data.unlabelled import Unlabelled
from bcpnet.labels import CAMVID
from bcpnet.onnx.export import export_checkpoint
from bcpnet.training.fit import Progress, RunInterruptedError, fit
from bcpnet.training.memory import keep_memory
from bcpnet.training.pretrained import fetch_pretrained
from bcpnet.training.recipes import Recipe, recipe
from bcpnet.training.soft_labels import write_soft_labels

ESPNETS = ("espnetv2_200_cityscapes", "espnetv2_150_cityscapes")
ENCODER = "mobilenet_v2_050"
RECIPES = {"camvid": "camvid-streets", "camvid-original": "camvid-original"}


def main() -> None:
    """Goes through the phases."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=RECIPES)
    parser.add_argument("--root", type=Path, required=True, help="CamVid's folder")
    parser.add_argument("--streets", type=Path, required=True, help="folder of images without labels")
    parser.add_argument("--runs", type=Path, required=True, help="folder for everything in between")
    parser.add_argument("--split", default="trainval", help="CamVid's split that is trained on")
    parser.add_argument("--epochs", type=int, help="fewer, for a trial")
    options = parser.parse_args()
    keep_memory()
    what = replace(recipe(RECIPES[options.name]), train_split=options.split, val_split="none")
    espnets = [pretrained(options.runs, name, onnx=True) for name in ESPNETS]
    start = "none" if what.pretrained == "none" else str(pretrained(options.runs, ENCODER))
    labels = options.runs / "soft_labels.npy"
    streets = Unlabelled(options.streets, CAMVID)
    once(labels, lambda: write_soft_labels(",".join(map(str, espnets)), streets, what.short_side, labels))
    what = replace(
        what,
        pretrained=start,
        teacher=str(labels),
        unlabelled=str(options.streets),
        epochs=options.epochs or what.epochs,
    )
    print(train(what, options.root, options.runs / options.name))


def once(path: Path, make: Callable[[], object]) -> None:
    """Makes `path` unless it is there, and tells how long it took."""
    if path.exists():
        return
    began = time.monotonic()
    print(f"{path} ...", flush=True)
    make()
    print(f"{path}: {time.monotonic() - began:.0f} s", flush=True)


def pretrained(runs: Path, name: str, onnx: bool = False) -> Path:
    """Weights from the web, or those that lie in `runs` already; exported, where they are to run fast."""
    weights = runs / f"{name}.safetensors"
    once(weights, lambda: fetch_pretrained(name, weights, report=print))
    if not onnx:
        return weights
    once(weights.with_suffix(".onnx"), lambda: export_checkpoint(weights, weights.with_suffix(".onnx")))
    return weights.with_suffix(".onnx")


def train(what: Recipe, root: Path, run: Path) -> Path:
    """The weights at the end of a run, gone on with where it was interrupted."""
    labelled = open_dataset(what.dataset, root, what.train_split)
    weights = run / "last.safetensors"

    def report(progress: Progress) -> None:
        if progress.step % 100 == 0 or progress.step == progress.steps:
            rest = f"loss {progress.loss:.3f}, {progress.images_per_s:.1f} images/s, {progress.eta_s:.0f} s to go"
            print(f"{run}: step {progress.step} of {progress.steps}, {rest}", flush=True)

    try:
        fit(what, labelled, None, run, resume=(run / "state.pt").exists(), report=report)
    except RunInterruptedError as stop:
        raise SystemExit(f"{stop}; go on with the same command") from stop
    return weights


if __name__ == "__main__":
    main()
