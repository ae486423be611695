"""Tables of accuracy, for update_docs.py."""

from __future__ import annotations

import statistics
from typing import Any, NamedTuple

from table_parts import markdown, results

from bcpnet.backends import open_backend
from bcpnet.cli.common import parse_size
from bcpnet.data.camvid import DRIVES
from bcpnet.networks.info import describe
from bcpnet.paper.published import PUBLISHED
from bcpnet.paper.recorded import WEIGHTS
from bcpnet.weights import figures, shipped


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
    """Accuracy of the weights that ship, on drives that they were not trained on."""
    header = [
        "name",
        "network",
        "classes",
        *(f"mIoU, % on {drive}" for drive in DRIVES),
        "mean",
        "weakest classes, IoU %",
    ]
    lines = []
    for name in shipped():
        metadata, known = open_backend(name).metadata, figures(name)
        assert known is not None
        network = f"BCPNet, {metadata.options['encoder']}, {known.parameters / 1e6:.2f} M parameters"
        lines.append([f"`{name}`", network, str(len(metadata.classes)), *_by_drive(name), _weakest(name)])
    return markdown(header, lines)


def _by_drive(name: str) -> list[str]:
    """mIoU on each drive by a network that did not see it, and their mean, in %."""
    means = results("by-drive")["means"].get(name)
    drives = [_number([row["miou"] for row in _rows(name) if row["drive"] == drive]) for drive in DRIVES]
    return [*drives, f"{100 * means['mean']:.1f}" if means else "-"]


def _weakest(name: str) -> str:
    """The three classes of the least IoU, of the mean over drives."""
    if not _rows(name):
        return "-"
    classes = sorted((iou, key) for key, iou in _class_means(name).items())[:3]
    return ", ".join(f"{key} {100 * iou:.0f}" for iou, key in classes)


def _rows(name: str) -> list[dict[str, Any]]:
    return [row for row in results("by-drive")["rows"] if row["name"] == name]


def _class_means(name: str) -> dict[str, float]:
    """IoU of each class: the mean over the drives where it occurs."""
    rows = _rows(name)
    found = {key: [row["iou"][key] for row in rows if row["iou"][key] is not None] for key in rows[0]["iou"]}
    return {key: statistics.mean(values) for key, values in found.items()}


def others_table() -> str:
    """`camvid` beside what a reader would otherwise take."""
    built = results("paper")["networks"]
    header = ["network", "CamVid mIoU, %", "ms here", "parameters, M", "licence of the code"]
    ours = built["camvid"]
    lines = [["**`camvid`**", f"{_by_drive('camvid')[-1]} (unseen streets)", *_here(ours), "Apache-2.0"]]
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
    lines = [
        "| network | parameters, M | multiply-adds, G | ms | drives held out | test |",
        "|---|---|---|---|---|---|",
    ]
    for network, name in WEIGHTS.items():
        lines.append(f"| `{name}` | {_cost(built[network])} | **{_by_drive(name)[-1]}** | - |")
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
    """IoU of each class on each drive by a network that did not see it."""
    rows = {row["drive"]: row for row in _rows("camvid")}
    lines = [[name, *(_iou(rows[drive]["iou"][name]) for drive in DRIVES)] for name in rows[DRIVES[0]]["iou"]]
    return markdown(["class", *DRIVES], [*lines, ["**mIoU**", *(_iou(rows[drive]["miou"]) for drive in DRIVES)]])


def _iou(value: float | None) -> str:
    return "absent" if value is None else f"{100 * value:.1f}"


def sizes_table() -> str:
    """`camvid` on drives that were not trained on, by the size of its input; and what that costs."""
    rows = _rows("camvid")
    sizes = list(rows[0]["by_size"])
    lines = [[row["drive"], *(f"{100 * row['by_size'][size]:.1f}" for size in sizes)] for row in rows]
    means = [statistics.mean(row["by_size"][size] for row in rows) for size in sizes]
    metadata = open_backend("camvid").metadata
    sizes_hw = [parse_size(size) for size in sizes]
    macs = describe(metadata.network, len(metadata.classes), sizes_hw, **metadata.options).macs.values()
    lines.append(["**mean**", *(f"{100 * mean:.1f}" for mean in means)])
    lines.append(["multiply-adds, G", *(f"{count / 1e9:.2f}" for count in macs)])
    return markdown(["drive", *sizes], lines)


def levers_table() -> str:
    """Every row of results/by-drive.json: what each lever gave on each drive."""
    lines = []
    for name in dict.fromkeys(row["name"] for row in results("by-drive")["rows"]):
        rows = _rows(name)
        cells = [_number([row["miou"] for row in rows if row["drive"] == drive]) for drive in DRIVES]
        lines.append([f"`{name}`", f"`{rows[0]['recipe']}`", _changes(rows[0]["changes"]), *cells])
    return markdown(["row", "recipe", "what is different", *DRIVES], lines)


def _number(values: list[float]) -> str:
    return f"{100 * statistics.mean(values):.1f}" if values else "-"


def _changes(changes: dict[str, str]) -> str:
    return ", ".join(f"{key.replace('_', '-')} {value}" for key, value in changes.items()) or "-"
