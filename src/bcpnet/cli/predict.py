"""`bcpnet predict`: images, folders, globs and videos in; class maps, overlays and colours out."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from bcpnet.cli.common import Flag, Name, Number, OptionalPath, Size, Status, chosen_backend, parse_size
from bcpnet.cli.complain import complain
from bcpnet.cli.contact_sheet import ContactSheet
from bcpnet.cli.interrupts import exit_code, looked_at
from bcpnet.cli.lines import Lines
from bcpnet.cli.live_options import divide, live_item, overlay_path, sink_of
from bcpnet.cli.predict_report import Report
from bcpnet.cli.progress import Progress, count_frames, parse_seconds
from bcpnet.drawing import pictures as draw
from bcpnet.errors import UsageError
from bcpnet.media.live.address import PIPE
from bcpnet.media.live.open import Policy
from bcpnet.media.live.sink import PipeKind
from bcpnet.media.sources import BadFrame
from bcpnet.media.video import ALL, Cut
from bcpnet.prediction.coco_file import CocoFile
from bcpnet.prediction.description import Describe
from bcpnet.prediction.outputs import Kind, Outputs
from bcpnet.prediction.predict import Stopped, predict
from bcpnet.regions.zones import read_zones
from bcpnet.segmenter import Segmenter, load

Time = Annotated[str | None, arg(metavar="TIME", help_behavior_hint="")]


@dataclass(frozen=True)
class Predict:
    """Segment images, folders, globs, videos, cameras and streams. For example:

    bcpnet predict street.jpg clip.mp4 photos/ --out results --save overlay ids
    bcpnet predict rtsp://camera.local/street --json

    What cannot be read or written is reported and skipped, and makes the exit code 1. Ctrl-C in the middle of a video
    keeps the part that is done.

    Attributes:
        sources: image files, video files, folders of them, globs in quotes; or one live source: a camera (0,
            /dev/video0; camera:NAME on Windows and macOS), an address that starts with rtsp, rtmp, http, https, udp or
            srt, - for what comes through a pipe, or frame_%06d.png for numbered pictures. Before the options, or after
            a "--".
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
        smooth: smooth the results of videos and live sources over time, along the motion: class maps flicker less.
        json: one line of JSON per frame on standard output: path, frame number, its time in the video in seconds, ms by
            stage, files written, size, share of pixels per class; for what cannot be read, path and error. Stages of
            several frames overlap: see the summary for frames/s.
        zones: a YAML file of polygons: the lines of --json have the shares in each, too. "size: 720x1280" says in which
            picture they were measured, and "zones: {crossing: [[300, 420], [980, 420], [640, 719]]}" their corners.
        regions: classes whose connected regions the lines of --json have, too: area, box, confidence.
        polygons: coco.json has a polygon for each connected region instead of a run-length code for each class, and
            the regions in the lines of --json have polygons.
        json_to: a file for these lines, instead of standard output.
        save_to: where overlays go instead of --out, of one video or live source: a name that ends with .mp4, an address
            that starts with rtmp, rtsp or udp (H.264), or - for standard output.
        save_as: what --save-to - is: y4m = YUV4MPEG2, rgb24 = bytes without a header.
        policy: of a live source: every frame, or the newest, which drops what came while the last one was worked on. By
            default newest for cameras and streams, every for pipes, numbered pictures and what has an end.
        duration: seconds, or h:mm:ss, after which a live source ends.
        max_frames: frames after which a live source ends.
        pipe_format: of frames that come through - without a container: rgb24, bgr24, gray, yuv420p ...
        pipe_size: height and width of those, in pixels.
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
    smooth: Flag = False
    json: Flag = False
    zones: OptionalPath = None
    regions: Annotated[tuple[str, ...], arg(metavar="CLASS [CLASS ...]", help_behavior_hint="")] = ()
    polygons: Flag = False
    json_to: OptionalPath = None
    save_to: Annotated[str | None, arg(metavar="WHERE", help_behavior_hint="")] = None
    save_as: PipeKind = "y4m"
    policy: Annotated[Policy | None, arg(metavar="{every,newest}", help_behavior_hint="")] = None
    duration: Time = None
    max_frames: Number = None
    pipe_format: Name = None
    pipe_size: Size = None
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
    with ExitStack() as stack:
        status = stack.enter_context(Status())
        is_out_taken = (options.json and options.json_to is None) or options.save_to == PIPE
        report = Report(outputs, status, is_out_taken)
        if options.json or options.json_to is not None:
            report.lines = stack.enter_context(closing(Lines(options.json_to, options.overwrite)))
        live = live_item(options, report.tell)
        items = report.find(options.sources) if live is None else [live]
        videos = [item for item in items if item.is_video]
        if cut != ALL and items and not videos:
            raise UsageError("--every, --start and --end are for videos: there is none among the sources")
        sink = sink_of(options, items)
        if sink is not None:
            stack.callback(sink.stop)
        workers, threads = divide(options, items)
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
        code = None
        with (
            looked_at() as check,
            closing(predict(items, segmenter, outputs, workers, cut, check, describe, sink, options.smooth)) as results,
        ):
            try:
                for result in results:
                    if isinstance(result, BadFrame):
                        report.bad_file(result.item.name, result.error)
                    else:
                        report.frame(result)
            except KeyboardInterrupt as stop:
                if live is None:
                    report.write_coco()
                    return _interrupted(stop, results, status)
                try:  # the summary follows: that is how a live source is left
                    _interrupted(stop, results, status)
                except KeyboardInterrupt:
                    complain("interrupted")
                code = exit_code(stop)
        if sink is not None:
            sink.close()
        wall_s = time.perf_counter() - start
        is_written = bool(outputs.kinds or {"coco", "sheet"} & set(options.save)) or is_submission
        report.finish(segmenter.backend.name, workers, threads, wall_s, is_written)
    if code is not None:
        return code
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
    wants_lines = options.json or options.json_to is not None
    if (options.zones or options.regions) and not wants_lines:
        raise UsageError("--zones and --regions are for the lines of --json: add --json")
    if options.polygons and not (coco or options.regions):
        raise UsageError("--polygons is for --save coco and for --regions: add one of them")
    if not coco and not wants_lines:
        return None
    zones = read_zones(options.zones) if options.zones else []
    return Describe(wants_lines, coco, zones, options.regions, options.polygons)


def _outputs(options: Predict) -> Outputs:
    if options.format == "cityscapes":
        return Outputs(options.out, cityscapes=True, overwrite=options.overwrite)
    named: list[Kind] = [kind for kind in options.save if kind != "auto" and kind != "coco" and kind != "sheet"]
    path = overlay_path(options)
    automatic = "auto" in options.save and options.save_to is None
    named += [] if path is None or "overlay" in named else ["overlay"]
    return Outputs(
        options.out,
        [*named, "overlay", "classmap"] if automatic else named,
        options.opacity,
        video_kinds=[*named, "overlay"] if automatic else named,
        palette=options.palette,
        legend=options.legend == "on",
        overwrite=options.overwrite,
        min_confidence=options.min_confidence,
        overlay_path=path,
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
