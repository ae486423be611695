"""`bcpnet predict`: images, folders, globs and videos in; class maps, overlays and colours out."""

from __future__ import annotations

import sys
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from tyro.conf import Positional, arg

from bcpnet.cli.common import Flag, Name, Number, Size, Status, chosen_backend, parse_size, print_json
from bcpnet.cli.complain import complain
from bcpnet.drawing import pictures as draw
from bcpnet.errors import InputError, UsageError
from bcpnet.media.sources import BadFrame, MediaItem, find_media, save_image
from bcpnet.pipeline import divide_threads
from bcpnet.prediction.predict import Kind, Outputs, Prediction, predict
from bcpnet.segmenter import Segmenter, load

_SHEET_TILES = 12


@dataclass(frozen=True)
class Predict:
    """Segment images, folders, globs and videos. For example:

    bcpnet predict street.jpg clip.mp4 photos/ --out results --save overlay classmap

    What cannot be read is reported and passed over, and makes the exit code 1.

    Attributes:
        sources: image files, video files, folders of them, globs in quotes; before the options, or after a "--".
        weights: a name that ships (see `bcpnet models`) or a .onnx or .safetensors file.
        out: folder for the results.
        save: overlay = STEM_overlay.jpg, or .mp4 for a video; classmap = index PNG STEM.png at the source's own size;
            colour = STEM_colour.png or .mp4; sheet = contact_sheet.jpg of up to a dozen overlays, evenly spread
            over all frames. A video's class maps are one PNG a frame, STEM_000000.png.
        size: height and width, in pixels, that frames are resized to for the network; by default the short side it was
            trained for.
        backend: native, onnxruntime, openvino or pytorch; by default what the weights call for; auto = the fastest
            here, by a trial of about a second that is remembered.
        threads: CPU threads, by default one per core: that many frames (up to 8) are worked on at once, each by its
            share of the threads. Decoding and encoding of videos have threads of their own.
        opacity: of the colours in overlays, 0 to 1.
        format: cityscapes = label-id PNGs as the benchmark's server wants them, instead of --save.
        json: one line of JSON per frame on standard output: path, frame number, ms by stage (as measured in the thread
            that it ran in: stages of several frames overlap, see the summary for frames/s), share of pixels per class;
            for what cannot be read, path and error.
    """

    sources: Annotated[Positional[tuple[str, ...]], arg(metavar="SOURCE [SOURCE ...]", help_behavior_hint="")] = ()
    weights: str = "camvid"
    out: Path = Path("bcpnet-out")
    save: Annotated[tuple[Kind | Literal["sheet"], ...], arg(metavar="KIND [KIND ...]")] = ("overlay", "classmap")
    size: Size = None
    backend: Name = None
    threads: Number = None
    opacity: float = 0.5
    format: Literal["own", "cityscapes"] = "own"
    json: Flag = False


def run(options: Predict) -> int:
    """Segments every source; 1 if some could not be read, else 0."""
    if not options.sources:
        raise UsageError("nothing to segment: name an image, a folder, a glob or a video")
    if not 0 <= options.opacity <= 1:
        raise UsageError(f"opacity {options.opacity}: need 0 to 1")
    size_hw = None if options.size is None else parse_size(options.size)
    is_submission = options.format == "cityscapes"
    kinds = () if is_submission else options.save
    pictures: tuple[Kind, ...] = tuple(kind for kind in kinds if kind != "sheet")
    with Status() as status:
        report = _Report(options, status)
        items = report.find()
        videos = any(item.is_video for item in items)
        workers, threads = divide_threads(options.threads, None if videos else len(items))
        backend = chosen_backend(options.backend, options.weights, size_hw, threads)
        segmenter = load(options.weights, backend=backend, size_hw=size_hw, threads=threads)
        if is_submission:
            _require_cityscapes(segmenter)
            items = report.cityscapes_frames(items)
        outputs = Outputs(options.out, pictures, options.opacity, is_submission)
        start = time.perf_counter()
        with closing(predict(items, segmenter, outputs, workers)) as results:
            for result in results:
                if isinstance(result, BadFrame):
                    report.bad_file(result.item.path, result.error)
                else:
                    report.frame(result)
        wall_s = time.perf_counter() - start
    report.finish(segmenter.backend.name, workers, threads, wall_s)
    return 1 if report.bad else 0


@dataclass
class _Report:
    """What is said of the frames, and the contact sheet of them."""

    options: Predict
    status: Status
    frames: int = 0
    bad: int = 0
    total_ms: Counter[str] = field(default_factory=Counter)
    tiles: list[tuple[str, npt.NDArray[np.uint8]]] = field(default_factory=list)
    tile_every: int = 1

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

    def frame(self, done: Prediction) -> None:
        """One frame that is done."""
        if "sheet" in self.options.save and self.options.format == "own" and self.frames % self.tile_every == 0:
            self._add_tile(done)
        self.frames += 1
        self.total_ms.update(done.timings_ms)
        if self.options.json:
            shares = {name: round(share, 6) for name, share in done.segmentation.shares().items()}
            rounded = {stage: round(ms, 3) for stage, ms in done.timings_ms.items()}
            print_json({"path": str(done.item.path), "frame": done.frame.index, "ms": rounded, "shares": shares})
        self.status.show(f"frame {self.frames}, {done.item.path.name}")

    def bad_file(self, path: Path, error: InputError) -> None:
        """One that is passed over, or whose rest is."""
        self.bad += 1
        self.status.close()
        complain(error)
        if self.options.json:
            print_json({"path": str(path), "error": str(error)})

    def _add_tile(self, done: Prediction) -> None:
        """Keeps at most a dozen, evenly spread, without knowing how many frames will come."""
        picture = done.pictures.get("overlay")
        if picture is None:
            picture = np.asarray(done.segmentation.overlay(self.options.opacity))
        self.tiles.append((done.frame.stem, picture))
        if len(self.tiles) > _SHEET_TILES:
            self.tiles = self.tiles[::2]
            self.tile_every *= 2

    def finish(self, backend: str, workers: int, threads: int, wall_s: float) -> None:
        """The contact sheet, and a summary (on standard error if standard output is for JSON)."""
        if self.tiles:
            save_image(self.options.out / "contact_sheet.jpg", draw.contact_sheet(self.tiles))
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
