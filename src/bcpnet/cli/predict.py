"""`bcpnet predict`: images, folders, globs and videos in; class maps, overlays and colours out."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from bcpnet.cli.common import Flag, Name, Number, Size, Status, chosen_backend, parse_size, print_json
from bcpnet.cli.complain import complain
from bcpnet.cli.progress import Progress, count_frames, parse_seconds
from bcpnet.drawing import pictures as draw
from bcpnet.errors import InputError, UsageError
from bcpnet.media.sources import BadFrame, MediaItem, find_media, save_image
from bcpnet.media.video import ALL, Cut, lost_sound
from bcpnet.pipeline import divide_threads
from bcpnet.prediction.predict import Kind, Outputs, Prediction, Stopped, predict
from bcpnet.segmenter import Segmenter, load

_SHEET_TILES = 12

Time = Annotated[str | None, arg(metavar="TIME", help_behavior_hint="")]


@dataclass(frozen=True)
class Predict:
    """Segment images, folders, globs and videos. For example:

    bcpnet predict street.jpg clip.mp4 photos/ --out results --save overlay ids

    A file that cannot be read is reported and skipped, and makes the exit code 1. Ctrl-C in the middle of a video keeps
    the part that is done.

    Attributes:
        sources: image files, video files, folders of them, globs in quotes; before the options, or after a "--".
        weights: a name that ships (`bcpnet models` lists them) or a .onnx or .safetensors file.
        out: folder for the results.
        save: auto = overlay and classmap for images, overlay for videos. overlay = the image under the colours of its
            classes, STEM_overlay.jpg, or .mp4 for a video, with its sound. classmap = PNG of class ids at the source's
            own size with the dataset's colours as its palette, STEM.png; OpenCV, imageio, scikit-image and matplotlib
            read the colours of such a file: for them, ids = grey PNG of class ids, STEM_ids.png. colour = the class map
            in the dataset's colours, STEM_colour.png, or .mp4 for a video. sheet = contact_sheet.jpg of up to a dozen
            overlays, evenly spread over all frames. Of a video, classmap and ids are one PNG a frame: STEM_000000.png,
            STEM_000001.png and so on.
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
        json: one line of JSON per frame on standard output: path, frame number, its time in the video in seconds, ms by
            stage, share of pixels per class; for what cannot be read, path and error. Stages of several frames overlap:
            see the summary for frames/s.
    """

    sources: Annotated[Positional[tuple[str, ...]], arg(metavar="SOURCE [SOURCE ...]", help_behavior_hint="")] = ()
    weights: str = "camvid"
    out: Path = Path("bcpnet-out")
    save: Annotated[
        tuple[Kind | Literal["auto", "sheet"], ...],
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
    json: Flag = False


def run(options: Predict) -> int:
    """Segments every source; 1 if some could not be read, else 0."""
    if not options.sources:
        raise UsageError("nothing to segment: name an image, a folder, a glob or a video")
    if not 0 <= options.opacity <= 1:
        raise UsageError(f"opacity {options.opacity}: need 0 to 1")
    size_hw = None if options.size is None else parse_size(options.size)
    cut = _cut(options)
    is_submission = options.format == "cityscapes"
    with Status() as status:
        report = _Report(options, status)
        items = report.find()
        videos = [item for item in items if item.is_video]
        if cut != ALL and items and not videos:
            raise UsageError("--every, --start and --end are for videos: there is none among the sources")
        workers, threads = divide_threads(options.threads, None if videos else len(items))
        backend = chosen_backend(options.backend, options.weights, size_hw, threads)
        segmenter = load(options.weights, backend=backend, size_hw=size_hw, threads=threads)
        if is_submission:
            _require_cityscapes(segmenter)
            items = report.cityscapes_frames(items)
        outputs = _outputs(options)
        report.warn_of_lost_sound(videos, outputs)
        report.progress = Progress(count_frames(items, cut))
        start = time.perf_counter()
        with closing(predict(items, segmenter, outputs, workers, cut)) as results:
            try:
                for result in results:
                    if isinstance(result, BadFrame):
                        report.bad_file(result.item.path, result.error)
                    else:
                        report.frame(result)
            except KeyboardInterrupt as stop:
                return _interrupted(stop, results, status)
        wall_s = time.perf_counter() - start
    report.finish(segmenter.backend.name, workers, threads, wall_s)
    return 1 if report.bad else 0


def _cut(options: Predict) -> Cut:
    start_s = Fraction(0) if options.start is None else parse_seconds("--start", options.start)
    end_s = None if options.end is None else parse_seconds("--end", options.end)
    return Cut(start_s, end_s, options.every)


def _outputs(options: Predict) -> Outputs:
    if options.format == "cityscapes":
        return Outputs(options.out, cityscapes=True)
    named: list[Kind] = [kind for kind in options.save if kind != "auto" and kind != "sheet"]
    automatic = "auto" in options.save
    return Outputs(
        options.out,
        [*named, "overlay", "classmap"] if automatic else named,
        options.opacity,
        video_kinds=[*named, "overlay"] if automatic else named,
        palette=options.palette,
        legend=options.legend == "on",
    )


def _interrupted(stop: KeyboardInterrupt, results: Generator[object, None, None], status: Status) -> int:
    """Lets `predict` finish the videos it is writing, and says which; raises KeyboardInterrupt if there is none."""
    try:
        results.throw(stop)
    except Stopped as stopped:
        status.close()
        videos = " and ".join(str(path) for path in stopped.videos)
        complain(f"interrupted: kept the {stopped.frames} frame{'s' * (stopped.frames != 1)} done in {videos}")
    return 130


@dataclass
class _Report:
    """What is said of the frames, and the contact sheet of them."""

    options: Predict
    status: Status
    frames: int = 0
    bad: int = 0
    total_ms: Counter[str] = field(default_factory=Counter)
    tiles: list[tuple[str, draw.Picture]] = field(default_factory=list)
    names: Sequence[str] = ()
    colours: Sequence[draw.Colour] = ()
    tile_every: int = 1
    progress: Progress = field(default_factory=lambda: Progress(None))

    def find(self) -> list[MediaItem]:
        """The files of all sources; those that do not exist are reported."""
        found = []
        for source in self.options.sources:
            try:
                find_media([source])
            except InputError as error:
                self.bad_file(Path(source), error)
            else:
                found.append(source)
        return find_media(found)  # all at once, for names that differ

    def cityscapes_frames(self, items: list[MediaItem]) -> list[MediaItem]:
        """Those named as the benchmark names its frames; the others are reported."""
        from bcpnet.media.cityscapes_submission import frame_of

        named = []
        for item in items:
            try:
                frame_of(item.stem)
            except InputError as error:
                self.bad_file(item.path, error)
            else:
                named.append(item)
        return named

    def warn_of_lost_sound(self, videos: Sequence[MediaItem], outputs: Outputs) -> None:
        """A line for each video whose sound does not go into those that will be written."""
        for item in videos:
            if {"overlay", "colour"} & set(outputs.kinds_of(item)):
                with suppress(InputError):  # said when its frames are read
                    for codec in lost_sound(item.path):
                        complain(f"{item.path}: MP4 does not take its sound ({codec}): the video written has none")

    def frame(self, done: Prediction) -> None:
        """One frame that is done."""
        if "sheet" in self.options.save and self.options.format == "own" and self.frames % self.tile_every == 0:
            self._add_tile(done)
        self.frames += 1
        self.total_ms.update(done.timings_ms)
        if self.options.json:
            shares = {name: round(share, 6) for name, share in done.segmentation.shares().items()}
            rounded = {stage: round(ms, 3) for stage, ms in done.timings_ms.items()}
            at = {"frame": done.frame.index, "time_s": round(float(done.frame.time_s), 6)}
            print_json({"path": str(done.item.path), **at, "ms": rounded, "shares": shares})
        self.status.show(self.progress.text(self.frames, done.item.path.name))

    def bad_file(self, path: Path, error: InputError) -> None:
        """One that is skipped, or whose rest is."""
        self.bad += 1
        self.status.close()
        complain(error)
        if self.options.json:
            print_json({"path": str(path), "error": str(error)})

    def _add_tile(self, done: Prediction) -> None:
        """Keeps at most a dozen, evenly spread, without knowing how many frames will come."""
        result = done.segmentation
        self.names, self.colours = (
            result.classes.names,
            draw.palette_colours(self.options.palette, result.classes.names, result.classes.colours),
        )
        picture = draw.overlay_with_contours(
            result.image, result.class_map, self.names, self.colours, self.options.opacity, legend=False
        )
        self.tiles.append((done.frame.stem, picture))
        if len(self.tiles) > _SHEET_TILES:
            self.tiles = self.tiles[::2]
            self.tile_every *= 2

    def finish(self, backend: str, workers: int, threads: int, wall_s: float) -> None:
        """The contact sheet, and a summary (on standard error if standard output is for JSON)."""
        if self.tiles:
            sheet = draw.contact_sheet(self.tiles)
            if self.options.legend == "on":
                sheet = draw.with_legend(sheet, self.names, self.colours)
            save_image(self.options.out / "contact_sheet.jpg", sheet)
        if not self.frames:
            return
        stages = ", ".join(f"{stage} {ms / self.frames:.1f}" for stage, ms in self.total_ms.items())
        written = f"\nresults in {self.options.out}" if self.options.save or self.options.format != "own" else ""
        at_once = f"{workers} at once, {threads} thread{'s' * (threads != 1)} each"
        print(
            f"{self.frames} frame{'s' * (self.frames != 1)} in {wall_s:.2f} s: {self.frames / wall_s:.1f} frames/s "
            f"from file in to results out ({backend}; {at_once})\n"
            f"ms per frame, each stage in its thread: {stages}{written}",
            file=sys.stderr if self.options.json else sys.stdout,
        )


def _require_cityscapes(segmenter: Segmenter) -> None:
    from bcpnet.evaluation.evaluate import require_same_classes
    from bcpnet.labels import CITYSCAPES

    require_same_classes(segmenter.backend.metadata.classes, CITYSCAPES)
