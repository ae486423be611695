"""`bcpnet predict`: images, folders, globs and videos in; class maps, overlays and colours out."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from bcpnet.cli.common import Flag, Name, Number, OptionalPath, Size, Status, chosen_backend, parse_size
from bcpnet.cli.complain import complain
from bcpnet.cli.contact_sheet import ContactSheet
from bcpnet.cli.interrupts import exit_code, looked_at
from bcpnet.cli.predict_report import Report
from bcpnet.cli.progress import Progress, count_frames, parse_seconds
from bcpnet.drawing import pictures as draw
from bcpnet.errors import UsageError
from bcpnet.media.sources import BadFrame
from bcpnet.media.video import ALL, Cut
from bcpnet.pipeline import divide_threads
from bcpnet.prediction.coco_file import CocoFile
from bcpnet.prediction.description import Describe
from bcpnet.prediction.outputs import Kind, Outputs
from bcpnet.prediction.predict import Stopped, predict
from bcpnet.regions.zones import read_zones
from bcpnet.segmenter import Segmenter, load

Time = Annotated[str | None, arg(metavar="TIME", help_behavior_hint="")]


@dataclass(frozen=True)
class Predict:
    """Segment images, folders, globs and videos. For example:

    bcpnet predict street.jpg clip.mp4 photos/ --out results --save overlay ids

    What cannot be read or written is reported and skipped, and makes the exit code 1. Ctrl-C in the middle of a video
    keeps the part that is done.

    Attributes:
        sources: image files, video files, folders of them, globs in quotes; before the options, or after a "--".
        weights: a name that ships (`bcpnet models` lists them) or a .onnx or .safetensors file.
        out: folder for the results.
        save: auto = overlay and classmap for images, overlay for videos. overlay = the image under the colours of its
            classes, STEM_overlay.jpg, or .mp4 for a video, with its sound. classmap = PNG of class ids at the source's
            own size with the dataset's colours as its palette, STEM.png; OpenCV, imageio, scikit-image and matplotlib
            read the colours of such a file: for them, ids = grey PNG of class ids, STEM_ids.png. colour = the class map
            in the dataset's colours, STEM_colour.png, or .mp4 for a video. confidence = grey PNG, STEM_confidence.png:
            the probability of each pixel's class, 255 = certain. coco = coco.json: the masks of all frames for
            annotation tools, as COCO has them. sheet = contact_sheet.jpg of up to a dozen overlays, evenly spread over
            all frames. Of a video, classmap, ids and confidence are one PNG a frame: STEM_000000.png, STEM_000001.png
            and so on.
        size: height and width, in pixels, that frames are resized to for the network; by default the short side it was
            trained for.
        backend: what runs the network: native, onnxruntime, openvino or pytorch; by default what the weights call for;
            auto = the fastest here, by a trial of about a second that is remembered.
        threads: CPU threads, by default one per core: that many frames (up to 8) are worked on at once, each by its
            share of the threads. Decoding and encoding of videos have threads of their own.
        every: segment every Nth frame of a video: 1 = all, 2 = every second ...
        start: where in a video to start, in seconds or h:mm:ss; by default at its start. Frame numbers count from here.
        end: where in a video to end, in seconds or h:mm:ss; by default at its end.
        opacity: of the colours in overlays, 0 to 1.
        palette: colours of overlays. clear = light ones that are far apart, for colour-blind people too; dataset =
            those of the dataset that the weights were trained on.
        legend: on = overlays have the names of the classes in a corner, the sheet has them below; off = none.
        format: own = what --save says; cityscapes = label-id PNGs as the benchmark's server wants them, instead.
        min_confidence: leave pixels without a class (255 in class maps) where the probability of their class is below
            it, 0 to 1.
        json: one line of JSON per frame on standard output: path, frame number, its time in the video in seconds, ms by
            stage, files written, size, share of pixels per class; for what cannot be read, path and error. Stages of
            several frames overlap: see the summary for frames/s.
        zones: a YAML file of polygons: the lines of --json have the shares in each, too. "size: 720x1280" says in which
            picture they were measured, and "zones: {crossing: [[300, 420], [980, 420], [640, 719]]}" their corners.
        regions: classes whose connected regions the lines of --json have, too: area, box, confidence.
        polygons: coco.json has a polygon for each connected region instead of a run-length code for each class, and
            the regions in the lines of --json have polygons.
        overwrite: replace files that have the name of a result and were not written by bcpnet; else they are kept, and
            told. Results of an earlier run are replaced without it.
    """

    sources: Annotated[Positional[tuple[str, ...]], arg(metavar="SOURCE [SOURCE ...]", help_behavior_hint="")] = ()
    weights: str = "camvid"
    out: Path = Path("bcpnet-out")
    save: Annotated[
        tuple[Kind | Literal["auto", "coco", "sheet"], ...],
        arg(metavar="KIND [KIND ...]", help_behavior_hint="(default: auto)"),
    ] = ("auto",)
    size: Size = None
    backend: Name = None
    threads: Number = None
    every: Annotated[int, arg(metavar="N")] = 1
    start: Time = None
    end: Time = None
    opacity: float = 0.5
    palette: draw.Palette = "clear"
    legend: Literal["on", "off"] = "on"
    format: Literal["own", "cityscapes"] = "own"
    min_confidence: Annotated[float, arg(metavar="SHARE", help_behavior_hint="")] = 0.0
    json: Flag = False
    zones: OptionalPath = None
    regions: Annotated[tuple[str, ...], arg(metavar="CLASS [CLASS ...]", help_behavior_hint="")] = ()
    polygons: Flag = False
    overwrite: Flag = False


def run(options: Predict) -> int:
    """Segments every source; 1 if some could not be read, or not all results be written, else 0."""
    if not options.sources:
        raise UsageError("nothing to segment: name an image, a folder, a glob or a video")
    if not 0 <= options.opacity <= 1:
        raise UsageError(f"opacity {options.opacity}: need 0 to 1")
    size_hw = None if options.size is None else parse_size(options.size)
    cut = _cut(options)
    is_submission = options.format == "cityscapes"
    describe = _describe(options)
    outputs = _outputs(options)
    with Status() as status:
        report = Report(outputs, status, options.json)
        items = report.find(options.sources)
        videos = [item for item in items if item.is_video]
        if cut != ALL and items and not videos:
            raise UsageError("--every, --start and --end are for videos: there is none among the sources")
        workers, threads = divide_threads(options.threads, None if videos else len(items))
        backend = chosen_backend(options.backend, options.weights, size_hw, threads)
        segmenter = load(options.weights, backend=backend, size_hw=size_hw, threads=threads)
        classes = segmenter.backend.metadata.classes
        for name in options.regions:
            if name not in classes.names:
                raise UsageError(f"--regions {name}: no such class; these weights have {', '.join(classes.names)}")
        if describe is not None and describe.coco:
            report.coco = CocoFile(classes)
        if is_submission:
            _require_cityscapes(segmenter)
            items = report.cityscapes_frames(items)
        if "sheet" in options.save and not is_submission:
            report.sheet = ContactSheet(outputs)
        report.warn_of_lost_sound(videos)
        report.progress = Progress(count_frames(items, cut))
        start = time.perf_counter()
        with (
            looked_at() as check,
            closing(predict(items, segmenter, outputs, workers, cut, check, describe)) as results,
        ):
            try:
                for result in results:
                    if isinstance(result, BadFrame):
                        report.bad_file(result.item.path, result.error)
                    else:
                        report.frame(result)
            except KeyboardInterrupt as stop:
                report.write_coco()
                return _interrupted(stop, results, status)
        wall_s = time.perf_counter() - start
    is_written = bool(options.save) or is_submission
    report.finish(segmenter.backend.name, workers, threads, wall_s, is_written)
    return 1 if report.bad else 0


def _cut(options: Predict) -> Cut:
    start_s = Fraction(0) if options.start is None else parse_seconds("--start", options.start)
    end_s = None if options.end is None else parse_seconds("--end", options.end)
    return Cut(start_s, end_s, options.every)


def _describe(options: Predict) -> Describe | None:
    if not 0 <= options.min_confidence <= 1:
        raise UsageError(f"--min-confidence {options.min_confidence}: need 0 to 1")
    coco = "coco" in options.save and options.format == "own"
    if options.min_confidence and options.format == "cityscapes":
        raise UsageError("--min-confidence does not go with --format cityscapes: the benchmark wants every pixel")
    if (options.zones or options.regions) and not options.json:
        raise UsageError("--zones and --regions are for the lines of --json: add --json")
    if options.polygons and not (coco or options.regions):
        raise UsageError("--polygons is for --save coco and for --regions: add one of them")
    if not coco and not options.json:
        return None
    zones = read_zones(options.zones) if options.zones else []
    return Describe(options.json, coco, zones, options.regions, options.polygons)


def _outputs(options: Predict) -> Outputs:
    if options.format == "cityscapes":
        return Outputs(options.out, cityscapes=True, overwrite=options.overwrite)
    named: list[Kind] = [kind for kind in options.save if kind != "auto" and kind != "coco" and kind != "sheet"]
    automatic = "auto" in options.save
    return Outputs(
        options.out,
        [*named, "overlay", "classmap"] if automatic else named,
        options.opacity,
        video_kinds=[*named, "overlay"] if automatic else named,
        palette=options.palette,
        legend=options.legend == "on",
        overwrite=options.overwrite,
        min_confidence=options.min_confidence,
    )


def _interrupted(stop: KeyboardInterrupt, results: Generator[object, None, None], status: Status) -> int:
    """Lets `predict` finish the videos it is writing, and says which; raises KeyboardInterrupt if there is none."""
    try:
        results.throw(stop)
    except Stopped as stopped:
        status.close()
        videos = " and ".join(str(path) for path in stopped.videos)
        complain(f"interrupted: kept the {stopped.frames} frame{'s' * (stopped.frames != 1)} done in {videos}")
    return exit_code(stop)


def _require_cityscapes(segmenter: Segmenter) -> None:
    from bcpnet.evaluation.evaluate import require_same_classes
    from bcpnet.labels import CITYSCAPES

    require_same_classes(segmenter.backend.metadata.classes, CITYSCAPES)
