"""`bcpnet models`: the weights that ship."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from bcpnet.backends import open_backend
from bcpnet.cli.common import Flag, print_json
from bcpnet.weights import figures, path_of, shipped


@dataclass(frozen=True)
class Models:
    """List the weights that ship: network, size, classes, mIoU on streets not trained on, what they are meant for.

    `bcpnet info NAME` tells the classes, the origin and the licence of one of them. `bcpnet benchmark --weights NAME`
    measures its speed on this machine.

    Attributes:
        json: print JSON, with all that is known of them; unseen_miou is a share, 0 to 1.
    """

    json: Flag = False


def run(options: Models) -> int:
    """Reads each file's own metadata, and the figures beside it."""
    models = [_facts(name) for name in shipped()]
    if options.json:
        print_json(models, indent=2)
        return 0
    heads = ("name", "network", "parameters", "classes", "unseen mIoU", "ONNX file", "meant for")
    rows = [heads, *map(_row, models)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())
    print(
        "unseen mIoU: on streets that were not trained on: the mean over the three drives of CamVid's train and val, "
        "each scored by a network trained alike on the other two"
    )
    print("bcpnet info NAME tells the classes, the origin and the licence")
    return 0


def _facts(name: str) -> dict[str, Any]:
    known = figures(name)
    onnx_mb = round(path_of(name, ".onnx").stat().st_size / 1e6, 2)
    return {"name": name, "onnx_mb": onnx_mb, **asdict(open_backend(name).metadata), **(asdict(known) if known else {})}


def _row(model: dict[str, Any]) -> tuple[str, ...]:
    classes = f"{len(model['classes']['names'])} ({model['classes']['name']})"
    parameters, score = "-", "-"
    if "parameters" in model:
        parameters = f"{model['parameters'] / 1e6:.2f} M"
    if model.get("unseen_miou") is not None:
        score = f"{100 * model['unseen_miou']:.2f} %"
    size = f"{model['onnx_mb']:.2f} MB"
    return model["name"], model["network"], parameters, classes, score, size, model.get("meant_for", "-")
