"""Puts the 8-bit form of weights that ship into the package: ONNX, results and model card.

    python tools/quantise_weights.py NAME --root CAMVID

Calibrated on CamVid's training images, whatever the release of NAME was scored on: val, as its card says. Where that
was a twin (results/NAME-train.safetensors), it is the twin in 8 bits here too. Every figure in the card comes from
results/NAME-int8-val.json and results/NAME-val.json.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from release_weights import RESULTS, WEIGHTS, class_table, score, write_figures

from bcpnet.backends import open_backend
from bcpnet.data import open_dataset
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
    options = parser.parse_args()

    name = f"{options.name}-int8"
    train = open_dataset("camvid", options.root, "train")
    frames = [train[index].image for index in evenly(len(train))]
    source, out = WEIGHTS / f"{options.name}.onnx", WEIGHTS / f"{name}.onnx"
    same = quantise_onnx(source, frames, out, f"{len(frames)} CamVid train images")
    print(f"quantised; the class of {100 * same:.1f} % of the logit cells is unchanged")

    twin = RESULTS / f"{options.name}-train.safetensors"
    if twin.exists():
        with TemporaryDirectory() as folder:
            whole, small = Path(folder) / "twin.onnx", Path(folder) / "twin-int8.onnx"
            export_checkpoint(twin, whole)
            quantise_onnx(whole, frames, small, "the twin, for its figure")
            result = score(small, options.root)
        command = f"python tools/quantise_weights.py {options.name} --root DIR"
        result = {**result, "command": command, "weights": f"{twin.name} in 8-bit integers"}
    else:
        result = score(name, options.root)
    write_bytes(RESULTS / f"{name}-val.json", (json.dumps(result, indent=2) + "\n").encode())
    write_bytes(RESULTS / f"{name}-info.json", (RESULTS / f"{options.name}-info.json").read_bytes())  # the same network
    exact = json.loads((RESULTS / f"{options.name}-val.json").read_text())
    card = model_card(options.name, open_backend(name).metadata, result, exact)
    write_bytes(WEIGHTS / f"{name}.md", card.encode())
    before = figures(name)
    write_figures(name, before.meant_for if before else f"{options.name} on CPUs with 8-bit instructions")
    print(f"{name}: {100 * result['miou']:.2f} % mIoU on val, {options.name}: {100 * exact['miou']:.2f} %")


def model_card(source: str, metadata: Metadata, result: dict[str, Any], exact: dict[str, Any]) -> str:
    """Markdown; every figure from `result` and `exact` (the JSON of `bcpnet evaluate`) of the weights and `source`."""
    name = f"{source}-int8"
    figures = [
        f"{100 * of['miou']:.2f} % mIoU and {100 * of['pixel_accuracy']:.2f} % pixel accuracy" for of in (result, exact)
    ]
    return f"""# Weights `{name}`

`{source}` in 8-bit integers: quicker on CPUs, most of all on those with instructions for them (VNNI) and in OpenVINO.
Ships as ONNX only, for the backends onnxruntime and openvino, and is used only where named. Classes, input and what it
is meant for are those of `{source}`.

- **How**: static quantisation after training. Activations are uint8, one scale per tensor; weights int8, one scale per
  output channel, in 7 bits, since CPUs without VNNI add pairs of products in 16 bits; the logits are floats.
  `python tools/quantise_weights.py {source} --root CAMVID` makes it; `bcpnet export --int8` does the same for others.
- **From**: {metadata.provenance}.
- **Figure**: {figures[0]} on CamVid val ({result["images"]} images, single scale, no
  flipping); `{source}` has {figures[1]}. If the card of `{source}` names a twin, both are the twin's.
  `{result["command"]}`; all of it in
  `results/{name}-val.json`. How ranges are chosen was decided looking at this split; the test split was not looked at.
- **Terms**: {metadata.licence}.

{class_table(result)}
"""


if __name__ == "__main__":
    main()
