"""`bcpnet models`: the weights that ship."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from bcpnet.backends import open_backend
from bcpnet.cli.common import Flag, print_json
from bcpnet.weights import figures, path_of, shipped


@dataclass(frozen=True)
class Models:
    """List the weights that ship: network, parameters, classes, mIoU on val, file size, what they are meant for.

    `bcpnet info NAME` tells the classes, the origin and the licence of one of them. `bcpnet benchmark --weights NAME`
    measures its speed on this machine.

    Attributes:
        json: print JSON, with all that is known of them; val_miou is a share, 0 to 1.
    """

    json: Flag = False


def run(options: Models) -> int:
    """Reads each file's own metadata, and the figures beside it."""
    models = [_facts(name) for name in shipped()]
    if options.json:
        print_json(models, indent=2)
        return 0
    heads = ("name", "network", "parameters", "classes", "val mIoU", "ONNX file", "meant for")
    rows = [heads, *map(_row, models)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())
    if any(model.get("scored") for model in models):
        print("* these weights were trained on val: the score is that of a second model, trained on train only")
    print("bcpnet info NAME tells the classes, the origin and the licence")
    return 0


def _facts(name: str) -> dict[str, Any]:
    known = figures(name)
    onnx_mb = round(path_of(name, ".onnx").stat().st_size / 1e6, 2)
    return {"name": name, "onnx_mb": onnx_mb, **asdict(open_backend(name).metadata), **(asdict(known) if known else {})}


def _row(model: dict[str, Any]) -> tuple[str, ...]:
    classes = f"{len(model['classes']['names'])} ({model['classes']['name']})"
    parameters, score = "-", "-"
    if "val_miou" in model:
        parameters = f"{model['parameters'] / 1e6:.2f} M"
        score = f"{100 * model['val_miou']:.2f} %{' *' if model['scored'] else ''}"
    size = f"{model['onnx_mb']:.2f} MB"
    return model["name"], model["network"], parameters, classes, score, size, model.get("meant_for", "-")
