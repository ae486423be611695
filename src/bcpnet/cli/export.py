"""`bcpnet export`: weights as ONNX."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import numpy as np
import numpy.typing as npt
from tyro.conf import Positional, arg

from bcpnet.cli.common import Flag, Status
from bcpnet.errors import UsageError
from bcpnet.media.sources import BadFrame, MediaItem, find_media, frames
from bcpnet.weights import resolve

# Reads one file, writes the other, and says how it went.
_Step = Callable[[Path, Path], str]


@dataclass(frozen=True)
class Export:
    """Write weights as one ONNX file with preprocessing, class names and colours inside. For example:

    bcpnet export --weights RUN/last.safetensors mine.onnx

    In 8-bit integers:

    bcpnet export --weights mine.onnx --int8 train/images mine-int8.onnx

    The file takes "frames", N x H x W x 3 uint8, RGB, with sides of at least 32 pixels, and returns "logits". Resize
    frames first to the short side that the network was trained for: 540 pixels for the weights that ship.
    The file is kept only if ONNX Runtime computes the same logits from it as PyTorch does from the weights.

    Attributes:
        out: the .onnx file to write.
        weights: a name that ships (see `bcpnet models`) or a .safetensors file; with --int8 or --class-map also .onnx.
        int8: compute in 8-bit integers, for CPUs with instructions for them (VNNI): ranges are measured on these images
            (a folder, a file, a glob in quotes), evenly spread where there are more than 128. Give training images:
            figures on images used here would say too much. Evaluate the result: it is close, not equal.
        class_map: return "class_map", N x H x W uint8, the class of every pixel, instead of logits. For other programs:
            bcpnet reads logits.
        triton: instead of OUT.onnx, write a model repository for Triton into this folder: NAME/config.pbtxt and
            NAME/1/model.onnx, which returns class maps.
    """

    out: Annotated[Positional[Path | None], arg(metavar="OUT.onnx", help_behavior_hint="")] = None
    weights: str = "camvid"
    int8: Annotated[str | None, arg(metavar="IMAGES", help_behavior_hint="")] = None
    class_map: Flag = False
    triton: Annotated[Path | None, arg(metavar="DIR", help_behavior_hint="")] = None


def run(options: Export) -> int:
    """Exports and checks, one step after the other."""
    if (options.out is None) == (options.triton is None):
        raise UsageError("name the file to write, OUT.onnx, or --triton and a folder")
    name = Path(options.weights).stem
    out = options.out or Path(options.triton or "", name, "1", "model.onnx")
    if out.suffix.lower() != ".onnx":
        raise UsageError(f"{out}: the name must end in .onnx")
    steps: list[_Step] = []
    if options.int8 is not None:
        steps.append(_int8(options.int8))
    if options.class_map or options.triton:
        steps.append(_class_map)
    source = resolve(options.weights, ".onnx" if steps else ".safetensors")
    if source.suffix.lower() != ".onnx":
        steps.insert(0, _export)
    elif not steps:
        raise UsageError(f"{source}: is ONNX already; export reads .safetensors")
    said = []
    with TemporaryDirectory() as folder:
        for index, step in enumerate(steps, 1):
            written = out if index == len(steps) else Path(folder, f"{source.stem}.{index}.onnx")
            said.append(step(source, written))
            source = written
    if options.triton is not None:
        from bcpnet.onnx.triton import write_triton_config

        said.append(f"configured in {write_triton_config(out, name)}")
    print(f"{out}: {out.stat().st_size / 1e6:.1f} MB; {'; '.join(said)}")
    return 0


def _export(source: Path, out: Path) -> str:
    from bcpnet.onnx.export import export_checkpoint

    return f"logits differ from PyTorch's by {export_checkpoint(source, out):.0e} of the largest"


def _int8(images: str) -> _Step:
    items = find_media([images])
    for item in items:
        if item.is_video:
            raise UsageError(f"{item.path}: is a video; --int8 needs images")

    def step(source: Path, out: Path) -> str:
        from bcpnet.onnx.quantise import evenly, quantise_onnx

        chosen = [items[index] for index in evenly(len(items))]
        total = len(chosen)
        count = f"{total} image{'s' * (total != 1)}"
        with Status() as status:
            same = quantise_onnx(
                source, _decoded(chosen), out, count, lambda done: status.show(f"image {done} of {total}")
            )
        return f"8-bit integers: the class of {100 * same:.1f} % of the logit cells of {count} is unchanged"

    return step


def _decoded(items: list[MediaItem]) -> Iterator[npt.NDArray[np.uint8]]:
    """One at a time: a hundred photographs are gigabytes. Raises InputError for one that cannot be read."""
    for frame in frames(items):
        if isinstance(frame, BadFrame):
            raise frame.error
        yield frame.image


def _class_map(source: Path, out: Path) -> str:
    from bcpnet.onnx.class_map import write_class_map_onnx

    return f"class maps differ from those of the logits in {100 * write_class_map_onnx(source, out):.2g} % of pixels"
