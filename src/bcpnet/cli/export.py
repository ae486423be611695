"""`bcpnet export`: weights as ONNX."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from bcpnet.errors import UsageError
from bcpnet.weights import resolve


@dataclass(frozen=True)
class Export:
    """Write weights as one ONNX file with preprocessing, class names and colours inside. For example:

    bcpnet export --weights RUN/best.safetensors mine.onnx

    The file is kept only if ONNX Runtime computes the same logits from it as PyTorch does from the weights.

    Attributes:
        out: the .onnx file to write.
        weights: a name that ships (see `bcpnet models`) or a .safetensors file.
    """

    out: Annotated[Positional[Path], arg(metavar="OUT.onnx")]
    weights: str = "camvid"


def run(options: Export) -> int:
    """Exports and checks."""
    if options.out.suffix.lower() != ".onnx":
        raise UsageError(f"{options.out}: the name must end in .onnx")
    source = resolve(options.weights, ".safetensors")
    if source.suffix.lower() == ".onnx":
        raise UsageError(f"{source}: is ONNX already; export reads .safetensors")

    from bcpnet.export import export_checkpoint

    difference = export_checkpoint(source, options.out)
    size_mb = options.out.stat().st_size / 1e6
    print(f"{options.out}: {size_mb:.1f} MB; logits differ from PyTorch's by {difference:.0e} of the largest")
    return 0
