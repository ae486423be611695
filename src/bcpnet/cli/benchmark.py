"""`bcpnet benchmark`: speed from frame in to class map out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from tyro.conf import arg

from bcpnet.benchmark import Frame, Row, compare, format_rows
from bcpnet.cli.common import Flag, Number, Sizes, Status, parse_size, print_json
from bcpnet.data.streets import Streets
from bcpnet.machine import describe_machine
from bcpnet.segmenter import Segmenter, load


@dataclass(frozen=True)
class Benchmark:
    """Measure speed from frame in to class map out, by stage, on a synthetic street at each size. For example:

    bcpnet benchmark --weights camvid --sizes 360x640 --backends onnxruntime openvino

    Attributes:
        weights: a name that ships (see `bcpnet models`) or a .onnx or .safetensors file.
        sizes: height and width of the frames; the network runs at that size too.
        backends: onnxruntime, openvino, pytorch.
        threads: CPU threads; by default the runtime's choice, as in predict.
        frames: how many are timed, after three that are not.
        json: print all measurements and the machine as JSON.
    """

    weights: str = "camvid"
    sizes: Sizes = ("360x640", "1024x2048")
    backends: Annotated[tuple[str, ...], arg(metavar="NAME [NAME ...]")] = ("onnxruntime",)
    threads: Number = None
    frames: int = 30
    json: Flag = False


def run(options: Benchmark) -> int:
    """Measures and prints."""

    def segmenter(backend: str, size_hw: tuple[int, int]) -> Segmenter:
        return load(options.weights, backend=backend, size_hw=size_hw, threads=options.threads)

    def frame(size_hw: tuple[int, int]) -> Frame:
        return Streets("test", size_hw=size_hw, length=1)[0].image

    sizes_hw = [parse_size(size) for size in options.sizes]
    for backend in options.backends:  # a missing one is told before anything is measured
        load(options.weights, backend=backend)
    with Status() as status:

        def report(row: Row) -> None:
            height, width = row.frame_hw
            status.show(f"{row.backend} {height}x{width}: {row.timing.fps:.1f} frames/s", always=True)

        rows = compare(
            segmenter,
            frame,
            backends=options.backends,
            sizes_hw=sizes_hw,
            threads=options.threads,
            frames=options.frames,
            report=report,
        )
    if options.json:
        rows_json = [row.as_dict() for row in rows]
        print_json({"weights": options.weights, "rows": rows_json, "machine": describe_machine()}, indent=2)
    else:
        print(format_rows(rows))
    return 0
