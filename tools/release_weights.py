"""Puts a finished run into the package: weights, ONNX, results and model card.

    python tools/release_weights.py NAME RUN [RUN ...] --root CAMVID [--twin TWIN [TWIN ...]] [--meant-for TEXT]

RUN is a folder that `bcpnet train` left; its last.safetensors ships (never best.safetensors: that was chosen on the
split whose figure is reported); of several seeds, the mean of theirs (mean_of_runs.py). If RUN was trained on train and
val, TWIN is a run on train alone, or several: its weights become results/NAME-train.safetensors, and the figure is
theirs. Every figure in the card, and in NAME.json for `bcpnet models`, comes from results/NAME-val.json, written here
by `bcpnet evaluate`. TEXT is what `bcpnet models` says they are for, in half a line; by default what it says today.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import re
from dataclasses import asdict, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from mean_of_runs import mean_of_runs, read_recipe

from bcpnet.cli import main as bcpnet
from bcpnet.data.seen import seen
from bcpnet.metadata import Metadata
from bcpnet.networks.checkpoint import load_checkpoint, save_checkpoint
from bcpnet.onnx.export import export_onnx
from bcpnet.storage.files import write_bytes
from bcpnet.weights import Figures, figures

REPOSITORY = Path(__file__).resolve().parents[1]
WEIGHTS = REPOSITORY / "src" / "bcpnet" / "weights"
RESULTS = REPOSITORY / "results"

LICENCE = (
    "Apache-2.0 for what is ours. Trained on CamVid (Brostow et al. 2009), which its authors provide for research: "
    "whether your use needs more than these terms is for you to judge"
)
_CORAL = "Initial encoder weights: google-coral/edgetpu, Apache-2.0, trained on ImageNet, COCO and PASCAL VOC"
ENCODERS = ("mobilenet_v2_050.safetensors", "mobilenet_v2_100.safetensors")
_TAUGHT = "Taught by bcpnet's own weights, whose initial encoder weights are google-coral/edgetpu's, Apache-2.0"
# Terms of what a run may start from.
INITIAL = {
    "none": "From random weights",
    **dict.fromkeys(ENCODERS, _CORAL),
    # What came of those: an earlier release, the twin (docs/accuracy.md).
    "camvid": _CORAL,
    "camvid-train.safetensors": _CORAL,
}


def main() -> None:
    """Releases; stops at the first step that fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name")
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    parser.add_argument("--root", type=Path, required=True, help="CamVid's folder")
    parser.add_argument(
        "--twin", type=Path, nargs="+", default=[], help="the runs whose figure is reported, if RUN has seen val"
    )
    parser.add_argument("--meant-for", metavar="TEXT", help="what `bcpnet models` says they are for")
    options = parser.parse_args()
    before = figures(options.name)
    meant_for = options.meant_for or (before and before.meant_for)
    if not meant_for:
        raise SystemExit(f"{options.name} is new: say in half a line what it is for (--meant-for)")

    runs, twins = options.runs, options.twin
    recipe = read_recipe(runs[0])
    initial = Path(recipe["pretrained"]).name
    if recipe["dataset"] != "camvid" or initial not in INITIAL:
        raise SystemExit(f"no terms known for {recipe['dataset']} weights that start from {initial}: add them here")
    if (recipe["train_split"] == "train") == bool(twins):
        raise SystemExit(f"trained on {recipe['train_split']}: {'no' if twins else 'its figure needs a'} --twin")
    for run in (*runs, *twins):
        require_finished(run)
    for run in twins or runs:
        require_unseen_val(run)
    if len(runs) > 1:
        del recipe["seed"]  # the provenance names them all
    network, metadata = mean_of_runs(runs)
    taught = initial == "none" and recipe["teacher"] != "none"
    metadata = replace(metadata, licence=f"{LICENCE}. {INITIAL[initial]}" + (f". {_TAUGHT}" if taught else ""))
    save_checkpoint(WEIGHTS / f"{options.name}.safetensors", network, metadata)
    difference = export_onnx(network, metadata, WEIGHTS / f"{options.name}.onnx")
    print(f"exported; logits differ by {difference:.0e}")

    scored: str | Path = options.name
    trained = metadata.provenance
    if twins:
        twin = RESULTS / f"{options.name}-train.safetensors"
        save_checkpoint(twin, *mean_of_runs(twins))
        scored, trained = twin, load_checkpoint(twin)[1].provenance
    result = {**score(scored, options.root), "trained": trained}
    write_bytes(RESULTS / f"{options.name}-val.json", (json.dumps(result, indent=2) + "\n").encode())
    parameters = sum(parameter.numel() for parameter in network.parameters())
    info = {"parameters": parameters, "encoder": metadata.options.get("encoder", "")}
    write_bytes(RESULTS / f"{options.name}-info.json", (json.dumps(info, indent=2) + "\n").encode())
    curve = f"{options.name}{'-train' if twins else ''}-history.jsonl"
    write_bytes(RESULTS / curve, ((twins or runs)[0] / "history.jsonl").read_bytes())
    told = f"the curve{' of the first seed' if len(twins or runs) > 1 else ''} in `results/{curve}`"
    teacher = ",".join(Path(source).name for source in recipe["teacher"].split(","))
    card = model_card(options.name, metadata, {**recipe, "pretrained": initial, "teacher": teacher}, result, told)
    write_bytes(WEIGHTS / f"{options.name}.md", card.encode())
    write_figures(options.name, meant_for)
    print(f"{options.name}: {100 * result['miou']:.2f} % mIoU on val")


def require_finished(run: Path) -> None:
    """Only what its schedule has ended is released."""
    provenance = load_checkpoint(run / "last.safetensors")[1].provenance
    done = re.search(r"step (\d+) of (\d+)", provenance)
    if done is None or done[1] != done[2]:
        raise SystemExit(f"{run}: not at its end ({provenance})")


def require_unseen_val(run: Path) -> None:
    """The run whose figure is reported has seen val neither itself nor through what it started or learnt from."""
    trained_on = load_checkpoint(run / "last.safetensors")[1].trained_on
    if seen(trained_on, "camvid/val") is not False:
        raise SystemExit(f"{run}: no score on val for weights that saw {', '.join(trained_on) or 'nobody knows what'}")


def write_figures(name: str, meant_for: str) -> None:
    """NAME.json beside the weights: what `bcpnet models` shows, from what results/ holds of them; and SHA256SUMS."""
    result, info = (json.loads((RESULTS / f"{name}-{kind}.json").read_text()) for kind in ("val", "info"))
    scored = None if result["weights"] == name else result["weights"]
    written = Figures(info["parameters"], result["miou"], scored, meant_for)
    write_bytes(WEIGHTS / f"{name}.json", (json.dumps(asdict(written), indent=2) + "\n").encode())
    sums = [f"{sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in sorted(WEIGHTS.glob("*.onnx"))]
    write_bytes(WEIGHTS / "SHA256SUMS", "".join(sums).encode())


def score(weights: str | Path, root: Path, size: str | None = None) -> dict[str, Any]:
    """What `bcpnet evaluate` says on CamVid's val of weights by name or in a file, and the command."""
    shown = str(weights)
    if isinstance(weights, Path):
        path = weights.resolve()
        shown = str(path.relative_to(REPOSITORY)) if path.is_relative_to(REPOSITORY) else path.name
    rest = ["--data", "camvid", "--split", "val", "--json", *([] if size is None else ["--size", size])]
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        code = bcpnet(["evaluate", "--weights", str(weights), *rest, "--root", str(root)])
    if code:
        raise SystemExit(code)
    command = f"bcpnet evaluate --weights {shown} {' '.join(rest)} --root DIR"
    return {"command": command, **json.loads(printed.getvalue()), "weights": shown}


def class_table(result: dict[str, Any]) -> str:
    """IoU per class in Markdown, from the JSON of `bcpnet evaluate`."""
    shares = ((key, "absent" if value is None else f"{100 * value:.1f}") for key, value in result["iou"].items())
    return "\n".join(["| class | IoU, % |", "|---|---|", *(f"| {key} | {share} |" for key, share in shares)])


def model_card(name: str, metadata: Metadata, recipe: dict[str, object], result: dict[str, Any], curve: str) -> str:
    """Markdown; every figure from `result` (the JSON of `bcpnet evaluate`); `curve` tells where that is."""
    miou, accuracy = result["miou"], result["pixel_accuracy"]
    whose = ""
    if result["trained"] != metadata.provenance:
        whose = (
            f".\n  These weights were trained on val; the score is that of a second model, trained on train only:\n"
            f"  `results/{name}-train.safetensors` ({result['trained']})"
        )
    options = ", ".join(f"{key} {value}" for key, value in metadata.options.items())
    return f"""# Weights `{name}`

Network `{metadata.network}` ({options}) for the {len(metadata.classes)} classes of {metadata.classes.name}:
{", ".join(metadata.classes.names)}.

- **Data and recipe**: {metadata.provenance}. The resolved recipe:
  `{json.dumps(recipe)}`
- **Figure**: {100 * miou:.2f} % mIoU, {100 * accuracy:.2f} % pixel accuracy on CamVid val ({result["images"]} images,
  single scale, no flipping, weights of the last step){whose}. `{result["command"]}`; all of it in
  `results/{name}-val.json`, {curve}. Recipe choices were made looking at this
  split; the test split was not looked at. Scores on val are optimistic, and vary with the seed: `docs/accuracy.md`.
- **Input** of the .onnx file: `frames`, N x H x W x 3 uint8, RGB, any height and width of at least 32. The file
  normalises the pixels itself. First resize frames to a short side of {metadata.short_side} pixels, the size that the
  network was trained for: others change the result. `bcpnet` resizes by default, and
  `examples/onnx_without_bcpnet.py` shows it all without `bcpnet`.
- **Meant for** street scenes like CamVid's: daylight, Cambridge (UK), a car's view. Rare and thin classes are weak; at
  night, in rain, elsewhere or from other viewpoints expect less. Not for decisions that safety depends on.
- **Terms**: {metadata.licence}.

{class_table(result)}
"""


if __name__ == "__main__":
    main()
