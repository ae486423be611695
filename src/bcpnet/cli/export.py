"""`bcpnet export`: weights as ONNX, LiteRT or NCNN."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from tyro.conf import Positional, arg

from bcpnet.cli.common import Flag, Size, Status, parse_size
from bcpnet.errors import UsageError
from bcpnet.media.sources import BadFrame, MediaItem, find_media, frames
from bcpnet.storage.files import require_writable
from bcpnet.weights import resolve

# Reads one file, writes the other, and says how it went.
_Step = Callable[[Path, Path], str]

_Format = Literal["onnx", "litert", "ncnn"]
_SUFFIXES: dict[_Format, str] = {"onnx": ".onnx", "litert": ".tflite", "ncnn": ".param"}


@dataclass(frozen=True)
class Export:
    """Write weights as one ONNX file with preprocessing, class names and colours inside. For example:

    bcpnet export --weights RUN/last.safetensors mine.onnx

    In 8-bit integers:

    bcpnet export --weights mine.onnx --int8 train/images mine-int8.onnx

    The file takes "frames", N x H x W x 3 uint8, RGB, with sides of at least 32 pixels, and returns "logits". Resize
    frames first to the short side that the network was trained for: 540 pixels for the weights that ship.
    The file is kept only if ONNX Runtime computes the same logits from it as PyTorch does from the weights.

    For phones and boards, for frames of one size, kept only if its own runtime gives the same class maps:

    bcpnet export --format litert --size 540x960 street.tflite

    Attributes:
        out: the file to write: .onnx; with --format litert .tflite, with --format ncnn .param (and .bin beside it).
        weights: a name that ships (see `bcpnet models`) or a .safetensors file; with --int8, --class-map, --size or
            --format also .onnx.
        format: the runtime that the file is for: onnx; litert (phones; 8 bits with weights in 8 bits); ncnn (phones and
            boards, without dependencies). The last two need --size.
        size: height and width, in pixels, of the one frame that the file takes: for NPUs, whose compilers want every
            shape as a number. By default any number of frames of any size.
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
    format: _Format = "onnx"
    size: Size = None
    int8: Annotated[str | None, arg(metavar="IMAGES", help_behavior_hint="")] = None
    class_map: Flag = False
    triton: Annotated[Path | None, arg(metavar="DIR", help_behavior_hint="")] = None


def run(options: Export) -> int:
    """Exports and checks, one step after the other."""
    if (options.out is None) == (options.triton is None):
        raise UsageError("name the file to write, OUT.onnx, or --triton and a folder")
    name = Path(options.weights).stem
    out = options.out or Path(options.triton or "", name, "1", "model.onnx")
    suffix = _SUFFIXES[options.format]
    if out.suffix.lower() != suffix:
        raise UsageError(f"{out}: the name must end in {suffix}")
    require_writable(out)
    steps: list[_Step] = []
    if options.int8 is not None:
        steps.append(_int8(options.int8))
    if options.class_map or options.triton:
        steps.append(_class_map)
    if options.format != "onnx" or options.size is not None:
        steps.append(_one_size(options))
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
    size = sum(path.stat().st_size for path in ([out, out.with_suffix(".bin")] if options.format == "ncnn" else [out]))
    print(f"{out}: {size / 1e6:.1f} MB; {'; '.join(said)}")
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


def _one_size(options: Export) -> _Step:
    """In the format asked for, for frames of the size asked for."""
    if options.class_map or options.triton:
        raise UsageError("--class-map and --triton make files for frames of any size: leave out --size and --format")
    if options.size is None:
        raise UsageError(f"--format {options.format}: give the frames' size too, for example --size 540x960")
    size_hw = parse_size(options.size)
    write, runtime = _writer(options)

    def step(source: Path, out: Path) -> str:
        same = 100 * write(source, size_hw, out)
        return f"the class of {same:.4g} % of the pixels of synthetic streets is the same in {runtime}"

    return step


def _writer(options: Export) -> tuple[Callable[[Path, tuple[int, int], Path], float], str]:
    """Of the format, and the runtime that checks it. Imports what it needs: what is missing shows before the work."""
    if options.format == "litert":
        from bcpnet.formats.litert import write_litert

        return write_litert, "LiteRT"
    if options.format == "ncnn":
        if options.int8 is not None:
            raise UsageError("--format ncnn: in floats only, without --int8")
        from bcpnet.formats.ncnn import write_ncnn

        return write_ncnn, "NCNN"
    from bcpnet.formats.fixed_onnx import write_fixed_onnx

    return write_fixed_onnx, "ONNX Runtime"
