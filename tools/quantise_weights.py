"""Puts the 8-bit form of weights that ship into the package: ONNX, figures and model card.

    python tools/quantise_weights.py NAME --root CAMVID --runs DIR

Calibrated on CamVid's training images, most of them darkened. DIR holds the runs that by_drive.py left: what each makes
of its drive in 8 bits, calibrated on the drives that it was trained on, is NAME-int8 in results/by-drive.json, and the
card's figure.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from by_drive import read_results, run_of, write_row
from release_weights import WEIGHTS, drives_table, write_figures

from bcpnet.backends import open_backend
from bcpnet.data import open_dataset
from bcpnet.data.base import Dataset
from bcpnet.evaluation.evaluate import evaluate
from bcpnet.metadata import Metadata
from bcpnet.onnx.export import export_checkpoint
from bcpnet.onnx.quantise import evenly, quantise_onnx
from bcpnet.storage.files import write_bytes
from bcpnet.weights import figures


def main() -> None:
    """Quantises, scores, writes the card."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name")
    parser.add_argument("--root", type=Path, required=True, help="CamVid's folder")
    parser.add_argument("--runs", type=Path, required=True, help="folder of by_drive.py's runs")
    options = parser.parse_args()

    name, exact = f"{options.name}-int8", figures(options.name)
    if exact is None:
        raise SystemExit(f"{options.name} does not ship: run tools/release_weights.py first")
    same = quantise(
        WEIGHTS / f"{options.name}.onnx", open_dataset("camvid", options.root, "train"), WEIGHTS / f"{name}.onnx"
    )
    print(f"quantised; the class of {100 * same:.1f} % of the logit cells is unchanged")
    for row in [row for row in read_results()["rows"] if row["name"] == options.name]:
        scores = score(run_of(options.runs, row), row["drive"], options.root)
        write_row({**{key: row[key] for key in ("drive", "seed", "recipe", "changes")}, "name": name, **scores})
        print(
            f"{name}, without {row['drive']}: {100 * scores['miou']:.2f}, in floats {100 * row['miou']:.2f}", flush=True
        )
    by_drive = read_results()
    card = model_card(options.name, open_backend(name).metadata, by_drive)
    write_bytes(WEIGHTS / f"{name}.md", card.encode())
    before = figures(name)
    meant_for = before.meant_for if before else f"{options.name} on CPUs with 8-bit instructions"
    write_figures(name, exact.parameters, by_drive, meant_for)


def quantise(source: Path, train: Dataset, out: Path) -> float:
    """Writes `source` in 8 bits to `out`; the share of logit cells whose class is unchanged."""
    frames = [train[index].image for index in evenly(len(train))]
    return quantise_onnx(source, frames, out, f"{len(frames)} CamVid train images")


def score(run: Path, drive: str, root: Path) -> dict[str, Any]:
    """What the network of a run that did not see `drive` makes of it in 8 bits, in ONNX Runtime."""
    with TemporaryDirectory() as folder:
        whole, small = Path(folder) / "whole.onnx", Path(folder) / "small.onnx"
        export_checkpoint(run / "last.safetensors", whole)
        quantise(whole, open_dataset("camvid", root, f"without-{drive}"), small)
        scores = evaluate(open_backend(small, "onnxruntime"), open_dataset("camvid", root, drive)).scores
    return {"miou": scores.miou, "iou": scores.iou}


def model_card(source: str, metadata: Metadata, by_drive: dict[str, Any]) -> str:
    """Markdown; every figure from `by_drive`, the content of results/by-drive.json."""
    name = f"{source}-int8"
    ours, exact = (100 * by_drive["means"][of]["mean"] for of in (name, source))
    return f"""# Weights `{name}`

`{source}` in 8-bit integers, for CPUs with instructions for them (VNNI). Ships as ONNX only, for the backends native,
onnxruntime and openvino, and is used only where named. Classes, input and what it is meant for are those of
`{source}`.

- **How**: static quantisation after training. Activations are uint8, one scale per tensor; weights int8, one scale per
  output channel, in 7 bits, since CPUs without VNNI add pairs of products in 16 bits; the logits are floats. Biases are
  corrected by what rounded weights add to the mean of each channel, on images of which three in four are darkened.
  `python tools/quantise_weights.py {source} --root CAMVID --runs DIR` makes it; `bcpnet export --int8` does the same
  for others.
- **From**: {metadata.provenance}.
- **Figure**: {ours:.2f} % mIoU on drives that were not trained on, `{source}` has {exact:.2f}: of the same networks,
  before and after quantisation. How it is measured is on the card of `{source}`; all of it is in
  `results/by-drive.json`.
- **Terms**: {metadata.licence}.

{drives_table(name, by_drive["rows"])}
"""


if __name__ == "__main__":
    main()
