"""`bcpnet benchmark`: speed from frame in to class map out, and of `bcpnet predict` on a video."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import cache
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from bcpnet.backends import weights_suffix
from bcpnet.backends.auto import AUTO
from bcpnet.benchmark.ceilings import CeilingMeter
from bcpnet.benchmark.comparison import Contestant, Row, compete
from bcpnet.benchmark.scenes import draw_scenes, write_clip
from bcpnet.benchmark.segment import BASELINE
from bcpnet.benchmark.stability import DRIVES, format_stability, measure_stability
from bcpnet.benchmark.table import format_ceilings, format_machine, format_rows, format_video
from bcpnet.benchmark.video import time_video
from bcpnet.cli.common import Flag, Number, Sizes, Status, parse_size, print_json
from bcpnet.errors import InputError, UsageError
from bcpnet.labels import CAMVID
from bcpnet.machine import check_threads, describe_machine
from bcpnet.prediction.predict import Kind
from bcpnet.segmenter import load

Names = Annotated[tuple[str, ...], arg(metavar="NAME [NAME ...]", help_behavior_hint="")]
_SIZES = ("360x640", "1024x2048")
_SAVED: tuple[Kind, ...] = ("overlay", "classmap")
_CLASSES = 19  # of networks without weights: Cityscapes'
_PREPARED_AT_HW = (360, 640)  # the frames that a network of random weights takes its statistics from


@dataclass(frozen=True)
class Benchmark:
    """Measure speed and memory from frame in to class map out, by stage, on synthetic streets. For example:

    bcpnet benchmark --weights camvid camvid-int8 --sizes 360x640 --backends openvino baseline

    Every line is measured in a process of its own, all lines of a size in turns.

    bcpnet benchmark stability measures instead how steady class maps are over time, with smoothing and without, on
    synthetic drives with exact labels and motion.

    Attributes:
        what: speed, or stability; before the options.
        weights: names that ship (see `bcpnet models`), .onnx or .safetensors files.
        networks: time these instead, with random weights; a wrong name gets the list.
        classes: with --networks, how many (19); else, how many classes to widen the weights to, for timing only.
        sizes: height and width of the network's input and of the frames; 360x640 and 1024x2048. For --video, of the
            network's input alone, by default as predict has it.
        backends: native, onnxruntime, openvino, pytorch, auto; baseline = ONNX Runtime, then PyTorch's interpolate and
            argmax. By default what the weights call for.
        threads: CPU threads; by default the runtime's choice, or as predict has it for --video.
        frames: how many are timed, after a few that are not; of stability, how many each of four drives has.
        video: measure what `bcpnet predict` does with this video instead; streets = a synthetic one of 1080p.
        save: with --video, what predict is to write: overlay, classmap, ids, colour, confidence; by default overlay and
            classmap.
        json: print all measurements and the machine as JSON.
    """

    what: Annotated[Positional[Literal["speed", "stability"]], arg(help_behavior_hint="")] = "speed"
    weights: Names = ("camvid",)
    networks: Names = ()
    classes: Number = None
    sizes: Annotated[Sizes, arg(help_behavior_hint="")] = ()
    backends: Names = ()
    threads: Number = None
    frames: int = 30
    video: Annotated[str | None, arg(metavar="PATH", help_behavior_hint="")] = None
    save: Annotated[tuple[Kind, ...], arg(metavar="KIND [KIND ...]", help_behavior_hint="")] = ()
    json: Flag = False


def run(options: Benchmark) -> int:
    """Measures and prints."""
    check_threads(options.threads)
    if not options.weights:
        raise UsageError("no --weights: name some that ship, or files")
    if options.classes is not None and not 1 <= options.classes <= 255:
        raise UsageError(f"{options.classes} classes: need 1 to 255")
    if len(options.weights) > 1 and (options.classes is not None or options.video is not None):
        raise UsageError("several --weights: not with --classes or --video")
    if options.networks and options.weights != Benchmark.weights:
        raise UsageError("--networks have random weights: not with --weights")
    if options.frames < 1:
        raise UsageError(f"--frames {options.frames}: need at least 1")
    if options.what == "stability":
        return _stability(options)
    if options.video is None:
        if options.save:
            raise UsageError("--save is of results of a --video")
    elif options.networks or options.classes is not None or options.frames != Benchmark.frames:
        raise UsageError("--networks, --classes and --frames: not with --video, which runs all frames of a video")
    for backend in options.backends:
        if backend not in (AUTO, BASELINE):
            weights_suffix(backend)  # it raises for a wrong name
    with ExitStack() as stack:
        status = stack.enter_context(Status())
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="bcpnet-")))
        if options.video is None:
            _frames(options, folder, status)
        else:
            _video(options, options.video, folder, status)
    return 0


def _frames(options: Benchmark, folder: Path, status: Status) -> None:
    sizes_hw = [parse_size(size) for size in options.sizes or _SIZES]
    if options.networks:
        _check_networks(options.networks)
    scenes_of = cache(draw_scenes)
    rows: list[Row] = []
    with CeilingMeter(options.threads) as meter:
        for name in options.networks or (", ".join(Path(weights).stem for weights in options.weights),):
            status.show(f"{name}: preparing", always=True)
            left_hw = list(sizes_hw)
            try:
                contestants = _contestants(options, name, folder)
                while left_hw:
                    status.show(f"{name}: {'{}x{}'.format(*left_hw[0])}", always=True)
                    scenes = scenes_of(left_hw[0])
                    rows += compete(
                        contestants, scenes, threads=options.threads, frames=options.frames, between=meter.measure
                    )
                    del left_hw[0]
            except InputError as error:
                if not options.networks:
                    raise
                rows += [
                    Row(name, backend, None, size_hw, options.threads, error=str(error))
                    for size_hw in left_hw
                    for backend in options.backends or ("default",)
                ]
        ceilings = meter.best()
    machine = describe_machine()
    if options.json:
        rows_json = [row.as_dict(ceilings) for row in rows]
        print_json({"rows": rows_json, "ceilings": asdict(ceilings), "machine": machine}, indent=2)
    else:
        print(f"{format_rows(rows, ceilings)}\n{format_machine(machine)}\n{format_ceilings(ceilings)}")


def _check_networks(names: Sequence[str]) -> None:
    """Raises UsageError for a wrong name, before anything is measured."""
    from bcpnet.networks import NETWORKS

    for name in names:
        if name not in NETWORKS:
            raise UsageError(f"unknown network {name!r}: choose from {', '.join(NETWORKS)}")


def _contestants(options: Benchmark, name: str, folder: Path) -> list[Contestant]:
    """Who is measured in turns: one network on every backend; files that it needs are written to `folder`."""
    if not options.networks and options.classes is None:
        sharing = Counter(Path(weights).stem for weights in set(options.weights))
        return [
            Contestant(weights if sharing[Path(weights).stem] > 1 else Path(weights).stem, weights, backend)
            for weights in options.weights
            for backend in options.backends or (None,)
        ]

    from bcpnet.benchmark.networks import random_network, widen

    classes = _CLASSES if options.classes is None else options.classes
    if options.networks:
        prepared = random_network(name, classes, draw_scenes(_PREPARED_AT_HW), folder)
    else:
        prepared = widen(options.weights[0], classes, folder)
    return [Contestant(prepared.name, prepared.weights(backend), backend) for backend in options.backends or (None,)]


def _video(options: Benchmark, video: str, folder: Path, status: Status) -> None:
    path = Path(video)
    if video == "streets":
        status.show("drawing the video", always=True)
        path = folder / "streets.mp4"
        write_clip(path)
    rows = []
    for size in options.sizes or (None,):
        for backend in options.backends or (None,):
            status.show(f"{backend or options.weights[0]}, network at {size or 'the trained size'}", always=True)
            row = time_video(
                path,
                options.weights[0],
                backend,
                size_hw=None if size is None else parse_size(size),
                threads=options.threads,
                save=options.save or _SAVED,
            )
            rows.append(row)
    machine = describe_machine()
    if options.json:
        print_json({"video": video, "rows": [row.as_dict() for row in rows], "machine": machine}, indent=2)
    else:
        print("\n\n".join(map(format_video, rows)))
        print(format_machine(machine))


def _stability(options: Benchmark) -> int:
    if options.networks or options.classes is not None or options.video is not None or options.save:
        raise UsageError("stability: not with --networks, --classes, --video or --save")
    if options.frames < 3:
        raise UsageError(f"--frames {options.frames}: stability needs at least 3")
    rows = []
    with Status() as status:
        for name, size, backend in product(options.weights, options.sizes or (None,), options.backends or (None,)):
            status.show(f"{name}: {len(DRIVES)} drives of {options.frames} frames", always=True)
            size_hw = None if size is None else parse_size(size)
            segmenter = load(name, backend=backend, size_hw=size_hw, threads=options.threads)
            if segmenter.backend.metadata.classes.names != CAMVID.names:
                raise UsageError(f"{name}: stability needs CamVid's classes, those of the drives")
            rows.append(measure_stability(Path(name).stem, segmenter, options.threads, options.frames))
    if options.json:
        print_json({"rows": [row.as_dict() for row in rows], "machine": describe_machine()}, indent=2)
    else:
        print(f"{format_stability(rows)}\n{format_machine(describe_machine())}")
    return 0
