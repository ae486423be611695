"""`bcpnet predict`: images, folders, globs and videos in; class maps, overlays and colours out."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from tyro.conf import Positional, arg

from bcpnet import draw
from bcpnet.cli.common import Flag, Name, Number, Size, Status, parse_size, print_json
from bcpnet.cli.complain import complain
from bcpnet.errors import InputError, UsageError
from bcpnet.media import (
    BadFrame,
    Frame,
    MediaItem,
    VideoWriter,
    find_media,
    frames,
    save_class_map,
    save_image,
    video_info,
)
from bcpnet.segmenter import Segmentation, Segmenter, load

Kind = Literal["overlay", "classmap", "colour", "sheet"]
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
        backend: onnxruntime, openvino or pytorch; by default what the weights call for.
        threads: CPU threads; by default the runtime's choice.
        opacity: of the colours in overlays, 0 to 1.
        format: cityscapes = label-id PNGs as the benchmark's server wants them, instead of --save.
        json: one line of JSON per frame on standard output: path, frame number, ms by stage, share of pixels per
            class; for what cannot be read, path and error.
    """

    sources: Annotated[Positional[tuple[str, ...]], arg(metavar="SOURCE [SOURCE ...]", help_behavior_hint="")] = ()
    weights: str = "camvid"
    out: Path = Path("bcpnet-out")
    save: Annotated[tuple[Kind, ...], arg(metavar="KIND [KIND ...]")] = ("overlay", "classmap")
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
    segmenter = load(options.weights, backend=options.backend, size_hw=size_hw, threads=options.threads)
    write = _cityscapes_writer(options, segmenter) if options.format == "cityscapes" else None
    kinds: tuple[Kind, ...] = () if write else options.save
    with Status() as status:
        job = _Job(options, segmenter, kinds, write, status)
        items = job.find(options.sources)
        job.sources = {item.path.resolve() for item in items}
        if write:
            items = job.cityscapes_frames(items)
        job.check_targets(items)
        for item in items:
            job.item(item)
    job.finish()
    return 1 if job.bad else 0


@dataclass
class _Job:
    options: Predict
    segmenter: Segmenter
    kinds: tuple[Kind, ...]
    write: Callable[[Frame, Segmentation], None] | None
    status: Status
    sources: set[Path] = field(default_factory=set)
    frames: int = 0
    bad: int = 0
    total_ms: Counter[str] = field(default_factory=Counter)
    tiles: list[tuple[str, npt.NDArray[np.uint8]]] = field(default_factory=list)
    tile_every: int = 1

    def find(self, sources: tuple[str, ...]) -> list[MediaItem]:
        """The files of all sources; those that do not exist are reported."""
        found = []
        for source in sources:
            try:
                find_media([source])
            except InputError as error:
                self._report_bad(BadFrame(Path(source), error))
            else:
                found.append(source)
        return find_media(found)  # all at once, for names that differ

    def cityscapes_frames(self, items: list[MediaItem]) -> list[MediaItem]:
        """Those named as the benchmark names its frames; the others are reported."""
        from bcpnet.submission import frame_of

        named = []
        for item in items:
            try:
                frame_of(item.stem)
            except InputError as error:
                self._report_bad(BadFrame(item.path, error))
            else:
                named.append(item)
        return named

    def check_targets(self, items: list[MediaItem]) -> None:
        """Before anything is written: raises UsageError where two results, or a result and a source, share a name."""
        seen = set()
        for item in items:
            for kind in self.kinds:
                if kind == "sheet" or (item.is_video and kind == "classmap"):
                    continue
                target = self._target(_file_name(item.stem, kind, item.is_video))
                if target in seen:
                    raise UsageError(f"two results would be called {target.name}: save classmap and colour separately")
                seen.add(target)

    def item(self, item: MediaItem) -> None:
        """One file: all its frames; its videos are whole when this returns."""
        with ExitStack() as stack:
            writers: dict[str, VideoWriter] = {}
            for frame in frames([item]):
                if isinstance(frame, BadFrame):
                    self._report_bad(frame)
                    continue
                result = self.segmenter(frame.image)
                timings_ms = {"decode": frame.decode_ms, **result.timings_ms}
                timings_ms |= self._save(frame, result, item, writers, stack)
                self.frames += 1
                self.total_ms.update(timings_ms)
                if self.options.json:
                    shares = {name: round(share, 6) for name, share in result.shares().items()}
                    rounded = {stage: round(ms, 3) for stage, ms in timings_ms.items()}
                    line = {"path": str(frame.source), "frame": frame.index, "ms": rounded, "shares": shares}
                    print_json(line)
                self.status.show(f"frame {self.frames}, {item.path.name}")

    def _save(
        self,
        frame: Frame,
        result: Segmentation,
        item: MediaItem,
        writers: dict[str, VideoWriter],
        stack: ExitStack,
    ) -> dict[str, float]:
        """Draws and writes; milliseconds for each."""
        start = time.perf_counter()
        pictures: dict[str, npt.NDArray[np.uint8]] = {}
        if "overlay" in self.kinds or self._wants_tile():
            pictures["overlay"] = np.asarray(result.overlay(self.options.opacity))
        if "colour" in self.kinds:
            pictures["colour"] = np.asarray(result.colour_map())
        drawn = time.perf_counter()
        if self._wants_tile():
            self._add_tile(frame.stem, pictures["overlay"])
        for kind in [kind for kind in pictures if kind in self.kinds]:
            if item.is_video:
                if kind not in writers:
                    path = self._target(_file_name(item.stem, kind, True))
                    size_hw = (pictures[kind].shape[0], pictures[kind].shape[1])
                    writer = VideoWriter(path, size_hw, video_info(item.path).fps)
                    writers[kind] = stack.enter_context(writer)
                writers[kind].write(pictures[kind])
            else:
                save_image(self._target(_file_name(frame.stem, kind, False)), pictures[kind])
        if "classmap" in self.kinds:
            save_class_map(
                self._target(_file_name(frame.stem, "classmap", False)), result.class_map, result.classes.palette()
            )
        if self.write:
            self.write(frame, result)
        return {"draw": 1000 * (drawn - start), "write": 1000 * (time.perf_counter() - drawn)}

    def _target(self, name: str) -> Path:
        """Where a result goes. Raises UsageError where that is one of the sources."""
        path = self.options.out / name
        if path.resolve() in self.sources:
            raise UsageError(f"{path}: is a source and would be overwritten: choose another --out")
        return path

    def _wants_tile(self) -> bool:
        return "sheet" in self.kinds and self.frames % self.tile_every == 0

    def _add_tile(self, title: str, picture: npt.NDArray[np.uint8]) -> None:
        """Keeps at most a dozen, evenly spread, without knowing how many frames will come."""
        self.tiles.append((title, picture))
        if len(self.tiles) > _SHEET_TILES:
            self.tiles = self.tiles[::2]
            self.tile_every *= 2

    def _report_bad(self, frame: BadFrame) -> None:
        self.bad += 1
        self.status.close()
        complain(frame.error)
        if self.options.json:
            print_json({"path": str(frame.source), "error": str(frame.error)})

    def finish(self) -> None:
        """The contact sheet, and a summary (on standard error if standard output is for JSON)."""
        if self.tiles:
            save_image(self.options.out / "contact_sheet.jpg", draw.contact_sheet(self.tiles))
        if not self.frames:
            return
        mean_ms = {stage: ms / self.frames for stage, ms in self.total_ms.items()}
        to_class_map_ms = mean_ms["pre"] + mean_ms["network"] + mean_ms["post"]
        stages = ", ".join(f"{stage} {ms:.1f}" for stage, ms in mean_ms.items())
        stream = sys.stderr if self.options.json else sys.stdout
        print(
            f"{self.frames} frame{'s' * (self.frames != 1)}, {1000 / to_class_map_ms:.1f} frames/s from frame in to "
            f"class map out ({self.segmenter.backend.name}); ms per frame: {stages}\nresults in {self.options.out}",
            file=stream,
        )


def _cityscapes_writer(options: Predict, segmenter: Segmenter) -> Callable[[Frame, Segmentation], None]:
    from bcpnet.evaluation import require_same_classes
    from bcpnet.labels import CITYSCAPES
    from bcpnet.submission import write_cityscapes

    require_same_classes(segmenter.backend.metadata.classes, CITYSCAPES)

    def write(frame: Frame, result: Segmentation) -> None:
        write_cityscapes(options.out, frame.stem, result.class_map)

    return write


def _file_name(stem: str, kind: str, is_video: bool) -> str:
    """What a result is called."""
    if kind == "classmap":
        return f"{stem}.png"
    suffix = ".mp4" if is_video else ".jpg" if kind == "overlay" else ".png"
    return f"{stem}_{kind}{suffix}"
