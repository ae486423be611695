"""`bcpnet models`: the weights that ship."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from bcpnet.backends import open_backend
from bcpnet.cli.common import Flag, print_json
from bcpnet.weights import path_of, shipped


@dataclass(frozen=True)
class Models:
    """List the weights that ship, with what was trained, on what, and the terms.

    Attributes:
        json: print JSON.
    """

    json: Flag = False


def run(options: Models) -> int:
    """Reads each file's own metadata."""
    models: list[dict[str, Any]] = []
    for name in shipped():
        metadata = open_backend(name).metadata
        size_mb = round(path_of(name, ".onnx").stat().st_size / 1e6, 2)
        models.append({"name": name, "onnx_mb": size_mb, **asdict(metadata)})
    if options.json:
        print_json(models, indent=2)
        return 0
    for model in models:
        names = model["classes"]["names"]
        options_text = ", ".join(f"{key} {value}" for key, value in model["options"].items())
        print(f"{model['name']}: {model['network']} ({options_text}), {len(names)} classes: {', '.join(names)}")
        print(f"  trained for a short side of {model['short_side']} pixels; ONNX {model['onnx_mb']} MB")
        print(f"  from: {model['provenance']}\n  terms: {model['licence']}")
    return 0
