"""Writes the tables of the documents from results/*.json: python tools/update_docs.py

A table lies between `<!-- NAME -->` and `<!-- /NAME -->`. tests/test_docs.py fails where documents and results differ.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bcpnet.networks.checkpoint import load_checkpoint
from bcpnet.networks.info import describe
from bcpnet.paper.published import PUBLISHED
from bcpnet.paper.recorded import WEIGHTS
from bcpnet.storage.files import write_bytes
from bcpnet.training.recipes import camvid
from bcpnet.weights import path_of

REPOSITORY = Path(__file__).resolve().parents[1]


def results(name: str) -> Any:
    """The content of results/NAME.json."""
    return json.loads((REPOSITORY / "results" / f"{name}.json").read_text())


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


def speed_table() -> str:
    """Frame to class map on the machine that the results name; memory and the usual way where they were measured."""
    result = results("benchmark-cpu")
    machine = result["machine"]
    rows = [row for row in result["rows"] if row["timing"]]
    threads = rows[0]["threads"]
    used = f"{threads} threads" if threads else f"{machine['usable_cores']} cores, each runtime's own threads"
    usual_fps = {tuple(row["frame_hw"]): row["fps"] for row in rows if row["backend"] == "usual"}
    header = ["frame", "backend", "frames/s", "pre, ms", "network, ms", "post, ms"]
    header += ["times the usual way"] * bool(usual_fps)
    has_memory = all(row.get("memory") for row in rows)
    header += ["peak memory, MiB"] * has_memory
    table = [header, ["---"] * len(header)]
    for row in rows:
        height, width = row["frame_hw"]
        stages = row["timing"]["stages"]
        ms = [f"{stages[stage]['mean_ms']:.1f}" for stage in ("pre", "network", "post")]
        line = [f"{height}x{width}", row["backend"], f"{row['fps']:.1f}", *ms]
        if usual_fps:
            usual = usual_fps.get((height, width))
            line.append(f"{row['fps'] / usual:.1f}" if usual else "-")
        if has_memory:
            line.append(f"{row['memory']['peak']:.0f}")
        table.append(line)
    markdown = [f"| {' | '.join(line)} |" for line in table]
    markdown[1] = markdown[1].replace(" ", "")
    return "\n".join([f"{machine['cpu']}, {used}, {machine['date'][:10]}:", "", *markdown])


def int8_table() -> str:
    """The network in floats and in 8-bit integers, from one run."""
    result = results("benchmark-int8")
    times = {
        (tuple(row["frame_hw"]), row["backend"], row["network"]): row["timing"]["stages"]["network"]["mean_ms"]
        for row in result["rows"]
        if row["timing"]
    }
    lines = ["| frame | backend | `camvid`, ms | `camvid-int8`, ms | ratio |", "|---|---|---|---|---|"]
    for (size_hw, backend, network), ms in times.items():
        if network == "camvid":
            eight = times.get((size_hw, backend, "camvid-int8"))
            last = "- | -" if eight is None else f"{eight:.1f} | {ms / eight:.2f}"
            lines.append(f"| {size_hw[0]}x{size_hw[1]} | {backend} | {ms:.1f} | {last} |")
    return "\n".join(lines)


def video_table() -> str:
    """What `bcpnet predict` does with a 1080p video."""
    lines = ["| written | frames/s | core-ms a frame | peak memory, MiB |", "|---|---|---|---|"]
    for name in ("classmap", "overlay"):
        (row,) = results(f"benchmark-video-{name}")["rows"]
        core_ms = 1000 * row["overlapped"]["core_s"] / row["overlapped"]["frames"]
        lines.append(f"| {name} | {row['fps']:.1f} | {core_ms:.1f} | {row['memory']['peak']:.0f} |")
    return "\n".join(lines)


def data_table() -> str:
    """Whether training waits for its data."""
    lines = ["| images | batches alone, images/s | training, images/s | ratio |", "|---|---|---|---|"]
    for name, where in (("data-camvid", "kept in memory"), ("data-camvid-from-disk", "read anew each time")):
        result = results(name)
        columns = (result["data_images_per_s"], result["training_images_per_s"], result["ratio"])
        lines.append(f"| {where} | " + " | ".join(f"{value:.1f}" for value in columns) + " |")
    return "\n".join(lines)


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


def costs_table() -> str:
    """Our network beside the paper's at 1024x2048, in turns."""
    _, metadata = load_checkpoint(path_of("camvid", ".safetensors"))
    options: tuple[dict[str, Any], ...] = ({}, metadata.options)
    counts = [describe("bcpnet", 11, [(1024, 2048)], **each) for each in options]
    rows = [
        ["parameters, M", *(f"{each.parameters / 1e6:.2f}" for each in counts), "-"],
        ["multiply-adds, G", *(f"{each.macs['1024x2048'] / 1e9:.2f}" for each in counts), "-"],
    ]
    ms = {
        (row["backend"], row["network"]): row["timing"]["stages"]["network"]["mean_ms"]
        for row in results("benchmark-cost")["rows"]
        if row["timing"]
    }
    for backend in dict.fromkeys(backend for backend, _ in ms):
        paper, ours = ms[backend, "paper"], ms[backend, "camvid"]
        rows.append([f"network in {backend}, ms", f"{paper:.1f}", f"{ours:.1f}", f"{ours / paper:.2f}"])
    lines = ["| at 1024x2048 | the paper's network | `camvid` | ratio |", "|---|---|---|---|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


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


TABLES = {
    "README.md": {"weights": weights_table, "speed": speed_table},
    "docs/accuracy.md": {
        "accuracy": accuracy_table,
        "classes": classes_table,
        "stages": stages_table,
        "levers": levers_table,
        "costs": costs_table,
    },
    "docs/benchmark.md": {"int8": int8_table, "video": video_table},
    "docs/training.md": {"data": data_table},
}


def updated(document: str) -> str:
    """The text of `document` with its tables written anew."""
    text = (REPOSITORY / document).read_text()
    for name, table in TABLES[document].items():
        marked = re.compile(f"<!-- {name} -->.*?<!-- /{name} -->", re.DOTALL)
        if not marked.search(text):
            raise SystemExit(f"{document} has no table {name}")
        text = marked.sub(f"<!-- {name} -->\n{table()}\n<!-- /{name} -->", text)
    return text


def main() -> None:
    """Rewrites the documents in place."""
    for document in TABLES:
        write_bytes(REPOSITORY / document, updated(document).encode())


if __name__ == "__main__":
    main()
