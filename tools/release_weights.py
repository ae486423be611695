"""Puts a finished run into the package: weights, ONNX, figures and model card.

    python tools/release_weights.py NAME RUN [--meant-for TEXT]

RUN is a folder that `bcpnet train` or make_camvid.py left; its last.safetensors ships. Every figure in the card, and
in NAME.json for `bcpnet models`, is that of NAME in results/by-drive.json, where by_drive.py puts what the same recipe
makes of a drive that it was not trained on. Those networks may have had fewer epochs, and a drive may be missing: the
card says so. TEXT is what `bcpnet models` says they are for, in half a line; by default what it says today.
"""

from __future__ import annotations

import argparse
import json
import re
from dataclasses import asdict, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from by_drive import changed, read_results

from bcpnet.data.camvid import DRIVES
from bcpnet.metadata import Metadata
from bcpnet.networks.checkpoint import load_checkpoint, save_checkpoint
from bcpnet.onnx.export import export_onnx
from bcpnet.storage.files import write_bytes
from bcpnet.training.recipes import recipe as recipe_called
from bcpnet.weights import Figures, figures

REPOSITORY = Path(__file__).resolve().parents[1]
WEIGHTS = REPOSITORY / "src" / "bcpnet" / "weights"

_OURS = "Apache-2.0 for what is ours; whether your use needs more than the terms of the data is for you to judge"
# Terms of what a run learns from, by the name that its weights, or those that it started from, know it by.
TERMS = {
    "camvid": "CamVid (Brostow et al. 2009): its authors provide it for research",
    "cityscapes": "Cityscapes (Cordts et al. 2016), through a teacher (ESPNetv2, MIT): non-commercial use only",
}
# The images of --streets, which have no labels for us; named in the order of what their terms forbid.
STREETS = (
    "street images without labels of ours: India Driving Dataset (research only), nuScenes (CC BY-NC-SA 4.0, "
    "non-commercial), drive.ai (CC BY 4.0)"
)
# Terms of what a run may start from.
INITIAL = {
    "none": "",
    "mobilenet_v2_050.safetensors": (
        "initial encoder weights: google-coral/edgetpu, Apache-2.0, trained on ImageNet, COCO and PASCAL VOC"
    ),
}
# What must be the same in a run that ships and in those whose figures it is given.
_DECIDE = (
    "network", "options", "short_side", "crop_h", "crop_w", "scale_min", "scale_max", "batch", "epochs", "lr",
    "optimizer", "weight_decay", "class_weights", "ohem", "lovasz", "distil", "unlabelled_batch", "ema_decay",
)  # fmt: skip


def main() -> None:
    """Releases; stops at the first step that fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name")
    parser.add_argument("run", type=Path, metavar="RUN")
    parser.add_argument("--meant-for", metavar="TEXT", help="what `bcpnet models` says they are for")
    options = parser.parse_args()
    before = figures(options.name)
    meant_for = options.meant_for or (before and before.meant_for)
    if not meant_for:
        raise SystemExit(f"{options.name} is new: say in half a line what it is for (--meant-for)")

    recipe = read_recipe(options.run)
    initial = Path(recipe["pretrained"]).name
    if initial not in INITIAL:
        raise SystemExit(f"no terms known for weights that start from {initial}: add them here")
    by_drive = read_results()
    require_finished(options.run)
    require_same_recipe(recipe, options.name, by_drive["rows"])
    network, metadata = load_checkpoint(options.run / "last.safetensors")
    metadata = replace(metadata, licence=terms(metadata.trained_on, initial, recipe["unlabelled"] != "none"))
    save_checkpoint(WEIGHTS / f"{options.name}.safetensors", network, metadata)
    difference = export_onnx(network, metadata, WEIGHTS / f"{options.name}.onnx")
    print(f"exported; logits differ by {difference:.0e}")

    card = model_card(options.name, metadata, recipe, by_drive)
    write_bytes(WEIGHTS / f"{options.name}.md", card.encode())
    parameters = sum(parameter.numel() for parameter in network.parameters())
    write_figures(options.name, parameters, by_drive, meant_for)


def read_recipe(run: Path) -> dict[str, Any]:
    """What a run was asked for, without where things lay on that machine."""
    if missing := [name for name in ("recipe.json", "last.safetensors") if not (run / name).is_file()]:
        raise SystemExit(f"{run}: no run of `bcpnet train`: it has no {' and no '.join(missing)}")
    recipe = dict(json.loads((run / "recipe.json").read_text()))
    recipe.pop("root", None)
    paths = {key: Path(recipe[key]).name for key in ("pretrained", "unlabelled")}
    return {**recipe, **paths, "teacher": ",".join(Path(source).name for source in recipe["teacher"].split(","))}


def require_finished(run: Path) -> None:
    """Only what its schedule has ended is released."""
    provenance = load_checkpoint(run / "last.safetensors")[1].provenance
    done = re.search(r"step (\d+) of (\d+)", provenance)
    if done is None or done[1] != done[2]:
        raise SystemExit(f"{run}: not at its end ({provenance})")


def require_same_recipe(recipe: dict[str, Any], name: str, rows: list[dict[str, Any]]) -> None:
    """The figures that these weights get are of networks that were trained as they were, or for fewer epochs."""
    of_name = [row for row in rows if row["name"] == name]
    if not of_name:
        raise SystemExit(f"results/by-drive.json has no drive of {name}: run tools/by_drive.py first")
    for row in of_name:
        scored = asdict(changed(recipe_called(row["recipe"]), row["changes"]))
        for field in _DECIDE:
            if scored[field] != recipe[field] and (field != "epochs" or scored[field] > recipe[field]):
                raise SystemExit(
                    f"{name} was trained with {field} {recipe[field]!r}, the network scored on {row['drive']} with "
                    f"{scored[field]!r}"
                )


def terms(trained_on: tuple[str, ...], initial: str, streets: bool) -> str:
    """The licence: ours, and that of all that these weights have learnt from."""
    datasets = dict.fromkeys(split.partition("/")[0] for split in trained_on)
    unknown = [name for name in datasets if name not in TERMS and not name.startswith("streets")]
    if unknown:
        raise SystemExit(f"no terms known for {', '.join(unknown)}: add them here")
    told = [TERMS[name] for name in datasets if name in TERMS]
    return f"{_OURS}. Learnt from: {'; '.join(filter(None, [*told, STREETS if streets else '', INITIAL[initial]]))}"


def write_figures(name: str, parameters: int, by_drive: dict[str, Any], meant_for: str) -> None:
    """NAME.json beside the weights: what `bcpnet models` shows; and SHA256SUMS."""
    mean = by_drive["means"].get(name)
    written = Figures(parameters, mean and mean["mean"], meant_for)
    write_bytes(WEIGHTS / f"{name}.json", (json.dumps(asdict(written), indent=2) + "\n").encode())
    sums = [f"{sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in sorted(WEIGHTS.glob("*.onnx"))]
    write_bytes(WEIGHTS / "SHA256SUMS", "".join(sums).encode())
    print(f"{name}: mIoU by drive", "not measured" if mean is None else f"{100 * mean['mean']:.2f} %")


def drives_table(name: str, rows: list[dict[str, Any]]) -> str:
    """IoU per class and drive in Markdown; of several seeds the mean."""
    seeds = {drive: [row for row in rows if (row["name"], row["drive"]) == (name, drive)] for drive in DRIVES}
    lines = [f"| class | {' | '.join(DRIVES)} |", "|---|---|---|---|"]
    for key in rows_classes(seeds):
        cells = [_mean([row["iou"][key] for row in of_drive]) for of_drive in seeds.values()]
        lines.append(f"| {key} | {' | '.join(cells)} |")
    means = [_mean([row["miou"] for row in of_drive]) for of_drive in seeds.values()]
    return "\n".join([*lines, f"| **mIoU** | {' | '.join(means)} |"])


def rows_classes(seeds: dict[str, list[dict[str, Any]]]) -> list[str]:
    """The classes, in their order."""
    return list(next(rows for rows in seeds.values() if rows)[0]["iou"])


def _mean(values: list[float | None]) -> str:
    known = [value for value in values if value is not None]
    if not values:
        return "not scored"
    return f"{100 * sum(known) / len(known):.1f}" if known else "absent"


def figure(name: str, epochs: int, by_drive: dict[str, Any]) -> str:
    """The figure in words: on which drives, and of networks trained for how long."""
    rows = [row for row in by_drive["rows"] if row["name"] == name]
    drives = [drive for drive in DRIVES if any(row["drive"] == drive for row in rows)]
    miou = sum(100 * sum(of) / len(of) for of in ([r["miou"] for r in rows if r["drive"] == d] for d in drives))
    over = "the mean over CamVid's three labelled drives, each" if len(drives) == 3 else f"CamVid's {drives[0]} alone,"
    if len(drives) == 2:
        over = f"the mean over {drives[0]} and {drives[1]} of CamVid's three labelled drives, each"
    scored = min(changed(recipe_called(row["recipe"]), row["changes"]).epochs for row in rows)
    shorter = "" if scored == epochs else f", but for {scored} epochs instead of {epochs}"
    return (
        f"{miou / len(drives):.2f} % mIoU on streets that were not trained on: {over} scored by a network that was "
        f"trained in the same way without it{shorter}"
    )


def model_card(name: str, metadata: Metadata, recipe: dict[str, Any], by_drive: dict[str, Any]) -> str:
    """Markdown; every figure from `by_drive`, the content of results/by-drive.json."""
    options = ", ".join(f"{key} {value}" for key, value in metadata.options.items())
    return f"""# Weights `{name}`

Network `{metadata.network}` ({options}) for the {len(metadata.classes)} classes of {metadata.classes.name}:
{", ".join(metadata.classes.names)}.

- **Data and recipe**: {metadata.provenance}. The resolved recipe:
  `{json.dumps(recipe)}`
- **Figure**: {figure(name, recipe["epochs"], by_drive)}.
  By class and drive below; single scale, no flipping, weights of the last step; `results/by-drive.json`, made by
  `{by_drive["command"]}`. The
  weights that ship were trained on all three drives. Our copy of CamVid has no labels for its test split, and
  no choice was made on its images.
- **Input** of the .onnx file: `frames`, N x H x W x 3 uint8, RGB, any height and width of at least 32. The file
  normalises the pixels itself. First resize frames to a short side of {metadata.short_side} pixels, the size that the
  network was trained for: others change the result. `bcpnet` resizes by default, and
  `examples/onnx_without_bcpnet.py` shows it all without `bcpnet`.
- **Meant for** street scenes by day from a car's view, most of all like CamVid's (Cambridge, UK). Rare and thin classes
  are weak; at night, in rain or from other viewpoints expect less. Not for decisions that safety depends on.
- **Terms**: {metadata.licence}.

{drives_table(name, by_drive["rows"])}
"""


if __name__ == "__main__":
    main()
