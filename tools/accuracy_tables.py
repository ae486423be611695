"""Tables of accuracy, for update_docs.py."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, NamedTuple

from table_parts import REPOSITORY, markdown, results

from bcpnet.paper.published import PUBLISHED
from bcpnet.paper.recorded import WEIGHTS
from bcpnet.training.recipes import camvid


class Elsewhere(NamedTuple):
    """A network that is not built here, as its authors publish it.

    Attributes:
        title: its name.
        url: the paper that holds the figures.
        camvid: mIoU on CamVid's test split, %.
    """

    title: str
    url: str
    camvid: float


# The code of both is MIT: github.com/XuJiacong/PIDNet, github.com/ydhongHIT/DDRNet.
ELSEWHERE = (
    Elsewhere("PIDNet-S", "https://arxiv.org/abs/2206.02066", 80.1),
    Elsewhere("DDRNet-23-slim", "https://arxiv.org/abs/2101.06085", 74.7),
)


def weights_table() -> str:
    """Accuracy of the weights that ship."""
    lines = [
        "| name | network | classes | CamVid val mIoU, % | pixel accuracy, % | weakest classes, IoU % |",
        "|---|---|---|---|---|---|",
    ]
    for path in sorted((REPOSITORY / "src" / "bcpnet" / "weights").glob("*.onnx"), key=lambda path: path.stem):
        result, network = results(f"{path.stem}-val"), results(f"{path.stem}-info")
        millions = network["parameters"] / 1e6
        weakest = sorted((iou, name) for name, iou in result["iou"].items() if iou is not None)[:3]
        lines.append(
            f"| `{path.stem}` | BCPNet, {network['encoder']}, {millions:.2f} M parameters | {len(result['iou'])} | "
            f"{100 * result['miou']:.2f} | {100 * result['pixel_accuracy']:.2f} | "
            f"{', '.join(f'{name} {100 * iou:.1f}' for iou, name in weakest)} |"
        )
    return "\n".join(lines)


def others_table() -> str:
    """`camvid` beside what a reader would otherwise take."""
    built = results("paper")["networks"]
    header = ["network", "CamVid mIoU, %", "ms here", "parameters, M", "licence of the code"]
    ours = built["camvid"]
    lines = [["**`camvid`**", f"{100 * results('camvid-val')['miou']:.2f} (val)", *_here(ours), "Apache-2.0"]]
    for each in ELSEWHERE:
        lines.append([f"[{each.title}]({each.url})", f"{each.camvid:g} (test)", "not timed", "-", "MIT"])
    for name in ("bisenet1", "dfanet_b"):
        system = PUBLISHED[name]
        miou = f"{system.camvid:g} (test)"
        lines.append([f"{system.title} ({system.source})", miou, *_here(built[name]), "Apache-2.0 (built here)"])
    return markdown(header, lines)


def _here(network: dict[str, Any]) -> list[str]:
    """Milliseconds to the class map at 720x960 in the best backend, and parameters, as `bcpnet paper` measured them."""
    parameters, _, ms = _cost(network).split(" | ")
    return [ms, parameters]


def accuracy_table() -> str:
    """CamVid: what ships beside what others publish; costs of all as `bcpnet paper` counted and timed them here."""
    built = results("paper")["networks"]
    lines = ["| network | parameters, M | multiply-adds, G | ms | val | test |", "|---|---|---|---|---|---|"]
    for network, name in WEIGHTS.items():
        lines.append(f"| `{name}` | {_cost(built[network])} | **{100 * results(f'{name}-val')['miou']:.2f}** | - |")
    published = [(system.camvid, name, system.title, system.source) for name, system in PUBLISHED.items()]
    published.append((70.5, "letnet", "LETNet", "Xu et al. 2023"))
    for miou, name, title, source in sorted(published, key=lambda row: -(row[0] or 0)):
        if miou is not None:
            cost = _cost(built[name]) if name in built else "0.95 | - | -"
            lines.append(f"| {title} ({source}) | {cost} | - | {miou:g} |")
    return "\n".join(lines)


def _cost(network: dict[str, Any]) -> str:
    """Parameters, multiply-adds at 1024x2048, milliseconds to the class map at 720x960 in its best backend."""
    ms = min(time["ms"] for time in network["times"]["720x960"].values() if "ms" in time)
    macs = network["macs"]["1024x2048"] / 1e9
    return f"{network['parameters'] / 1e6:.2f} | {macs:.2f} | {ms:.1f}"


def classes_table() -> str:
    """IoU of each class before and now."""
    first, now = results("camvid-first-val"), results("camvid-val")
    rows = [(name, first["iou"][name], iou) for name, iou in now["iou"].items()]
    lines = ["| class | `first`, % | `camvid`, % | gain |", "|---|---|---|---|"]
    for name, before, after in [*rows, ("**mIoU**", first["miou"], now["miou"])]:
        lines.append(f"| {name} | {100 * before:.1f} | {100 * after:.1f} | {100 * (after - before):+.1f} |")
    return "\n".join(lines)


def stages_table() -> str:
    """CamVid val after each stage of the training, by input size; what an input size costs `train`."""
    rows = results("camvid-stages")["rows"]
    lines = [f"| stage | {' | '.join(rows[0]['miou'])} |", "|---" * (1 + len(rows[0]["miou"])) + "|"]
    for row in rows:
        lines.append(f"| `{row['stage']}` | {' | '.join(f'{100 * miou:.2f}' for miou in row['miou'].values())} |")
    (train,) = (row for row in rows if row["stage"] == "train")
    costs = " | ".join(f"{macs / 1e9:.2f}" for macs in train["macs"].values())
    return "\n".join([*lines, f"| multiply-adds of `train`, G | {costs} |"])


def levers_table() -> str:
    """What each part of the recipe gives by itself: tools/ablate.py levers."""
    first, *others = results("ablation-levers")["rows"]
    if any(row["miou"].keys() != first["miou"].keys() for row in others):
        raise SystemExit("results/ablation-levers.json: variants of different seeds do not compare")
    own = {**asdict(camvid()), **first["changes"]}
    lines = [
        "| variant | what is different | val, mean of seeds | spread | against `camvid` |",
        "|---|---|---|---|---|",
    ]
    for row in (first, *others):
        difference = "-" if row is first else f"{100 * (row['mean'] - first['mean']):+.2f}"
        lines.append(
            f"| `{row['variant']}` | {'-' if row is first else _changes(row['changes'], own)} | "
            f"{100 * row['mean']:.2f} | {100 * row['spread']:.2f} | {difference} |"
        )
    return "\n".join(lines)


def _changes(changes: dict[str, Any], own: dict[str, Any]) -> str:
    """Fields of a recipe that are not as in `own`, those of `options` one by one."""
    flat, flat_own = ({**each, **each.get("options", {})} for each in (changes, own))
    told = (
        f"{key.replace('_', '-')} {value}"
        for key, value in flat.items()
        if key != "options" and value != flat_own.get(key)
    )
    return ", ".join(told)
