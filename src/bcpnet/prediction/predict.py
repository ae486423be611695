"""Files in, results out: decoding, segmenting, drawing and writing overlap. What `bcpnet predict` does, in silence."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from bcpnet.drawing import pictures as draw
from bcpnet.errors import InputError, UsageError
from bcpnet.media.cityscapes_submission import write_cityscapes
from bcpnet.media.sources import BadFrame, Frame, MediaItem, VideoWriter, frames, save_class_map, save_image, video_info
from bcpnet.media.video import ALL, Cut, Sound
from bcpnet.pipeline import ordered_map
from bcpnet.segmenter import Segmentation, Segmenter

Kind = Literal["overlay", "classmap", "ids", "colour"]

_EVERY_FRAME_A_PNG: tuple[Kind, ...] = ("classmap", "ids")  # of a video, too; the others are videos then


@dataclass(frozen=True)
class Outputs:
    """What is written of every frame, and where.

    Attributes:
        folder: made when the first result is written.
        kinds: overlay = STEM_overlay.jpg, or .mp4 for a video; colour = STEM_colour.png or .mp4; classmap = index
            PNG STEM.png and ids = grey PNG STEM_ids.png, at the frame's own size.
        opacity: of the colours in overlays, 0 to 1.
        cityscapes: whether to write label-id PNGs, too, as `bcpnet.media.cityscapes_submission.write_cityscapes` does.
        video_kinds: what is written of videos; None = `kinds`.
        palette: of overlays: clear = `bcpnet.drawing.clear_colours`, dataset = the colours of the weights' classes.
        legend: whether overlays have one, in a corner.
    """

    folder: Path
    kinds: Sequence[Kind] = ()
    opacity: float = 0.5
    cityscapes: bool = False
    video_kinds: Sequence[Kind] | None = None
    palette: draw.Palette = "clear"
    legend: bool = True

    def kinds_of(self, item: MediaItem) -> Sequence[Kind]:
        """What is written of a file."""
        return self.kinds if self.video_kinds is None or not item.is_video else self.video_kinds

    def path(self, kind: Kind, stem: str, is_video: bool) -> Path:
        """Where a result goes."""
        if kind == "classmap":
            return self.folder / f"{stem}.png"
        if kind == "ids":
            return self.folder / f"{stem}_ids.png"
        suffix = ".mp4" if is_video else ".jpg" if kind == "overlay" else ".png"
        return self.folder / f"{stem}_{kind}{suffix}"


@dataclass(frozen=True, eq=False)
class Prediction:
    """A frame that is done: what was asked for is written, or, of a video, handed to its encoder.

    Attributes:
        frame: the decoded frame.
        segmentation: what the network sees in it.
        pictures: H x W x 3 uint8 RGB by kind, of those that were drawn ("overlay", "colour").
        timings_ms: milliseconds by stage, each as measured in the thread that it ran in: "decode", "pre", "network",
            "post", "draw", "write". The stages of several frames overlap: their sum is not the time between frames.
    """

    frame: Frame
    segmentation: Segmentation
    pictures: dict[Kind, npt.NDArray[np.uint8]]
    timings_ms: dict[str, float]

    @property
    def item(self) -> MediaItem:
        """The file it came from."""
        return self.frame.item


class Stopped(KeyboardInterrupt):
    """Ctrl-C in the middle of a video.

    Attributes:
        videos: files that hold the frames done until then, whole.
        frames: how many these are.
    """

    def __init__(self, videos: Sequence[Path], frames: int) -> None:
        """Both as the attributes."""
        super().__init__(videos, frames)
        self.videos = videos
        self.frames = frames


def predict(
    items: Sequence[MediaItem], segmenter: Segmenter, outputs: Outputs, workers: int = 1, cut: Cut = ALL
) -> Generator[Prediction | BadFrame, None, None]:
    """Segments every frame of `items` and writes `outputs`; yields the frames in order as they are done.

    Three stages overlap: one thread decodes; `workers` threads segment, draw and write pictures; the caller's
    thread encodes videos. At most 2 x workers + 1 frames are held. A video is whole once the first frame of the next
    item comes; it is dropped where an error, or `close`, ends the iteration before, and kept, with the frames done
    until then, where KeyboardInterrupt does (if it comes in your own loop, `throw` it in). A video has the times of its
    source's frames and, where MP4 takes it, its sound. Where a video's size changes, a BadFrame says so, and the videos
    written hold the frames of its first size. Close the generator to stop early, as `bcpnet.pipeline.ordered_map` says.

    Args:
        items: from `find_media`.
        segmenter: for most frames a second, opened with as few threads as `divide_threads` says.
        outputs: what to write.
        workers: number of frames worked on at once.
        cut: which frames of the videos.

    Raises:
        Stopped: for KeyboardInterrupt where videos are kept.
        UsageError: two results, or a result and a source, share a file; told before anything is written if it can be.
        InputError: a result cannot be written. What cannot be read comes as a BadFrame instead.
    """
    run = _Run(segmenter, outputs, cut, frozenset(item.path.resolve() for item in items))
    run.check_targets(items)
    with closing(ordered_map(run.work, frames(items, cut), workers)) as results:
        for item, of_item in groupby(results, key=lambda result: result.item):
            encoders: dict[Kind, VideoWriter] = {}
            try:
                yield from run.encode(item, of_item, encoders)
            except KeyboardInterrupt as stop:
                kept = [encoder for encoder in encoders.values() if encoder.is_written]
                if kept:
                    raise Stopped([encoder.path for encoder in kept], kept[0].frames) from stop
                raise


def _changed(frame: Frame) -> InputError:
    height, width, _ = frame.image.shape
    return InputError(
        f"{frame.item.path}: its size changes to {height}x{width} at frame {frame.index}: what is of another size than "
        "at the start is left out of the videos"
    )


@dataclass(frozen=True)
class _Run:
    segmenter: Segmenter
    outputs: Outputs
    cut: Cut
    sources: frozenset[Path]

    def check_targets(self, items: Sequence[MediaItem]) -> None:
        """Raises UsageError where two results, or a result and a source, share a name, as far as is known yet."""
        seen = set()
        for item in items:
            for kind in set(self.outputs.kinds_of(item)):
                if kind in _EVERY_FRAME_A_PNG and item.is_video:
                    continue
                target = self._target(kind, item.stem, item.is_video)
                if target in seen:
                    raise UsageError(f"two results would be called {target.name}: save these kinds separately")
                seen.add(target)

    def work(self, frame: Frame | BadFrame) -> Prediction | BadFrame:
        """Segments, draws, and writes all but videos."""
        if isinstance(frame, BadFrame):
            return frame
        segmentation = self.segmenter(frame.image)
        class_map, classes = segmentation.class_map, segmentation.classes
        kinds = self.outputs.kinds_of(frame.item)
        start = time.perf_counter()
        pictures: dict[Kind, npt.NDArray[np.uint8]] = {}
        if "overlay" in kinds:
            colours = draw.palette_colours(self.outputs.palette, classes.names, classes.colours)
            pictures["overlay"] = draw.overlay_with_contours(
                frame.image, class_map, classes.names, colours, self.outputs.opacity, self.outputs.legend
            )
        if "colour" in kinds:
            pictures["colour"] = draw.colour_map(class_map, classes.palette())
        drawn = time.perf_counter()
        for kind, picture in pictures.items():
            if not frame.item.is_video:
                save_image(self._target(kind, frame.stem, False), picture)
        if "classmap" in kinds:
            save_class_map(self._target("classmap", frame.stem, False), class_map, classes.palette())
        if "ids" in kinds:
            save_class_map(self._target("ids", frame.stem, False), class_map)
        if self.outputs.cityscapes:
            write_cityscapes(self.outputs.folder, frame.stem, class_map)
        timings_ms = {
            "decode": frame.decode_ms,
            **segmentation.timings_ms,
            "draw": 1000 * (drawn - start),
            "write": 1000 * (time.perf_counter() - drawn),
        }
        return Prediction(frame, segmentation, pictures, timings_ms)

    def encode(
        self, item: MediaItem, results: Iterable[Prediction | BadFrame], encoders: dict[Kind, VideoWriter]
    ) -> Iterator[Prediction | BadFrame]:
        """Passes on the results of one file; of a video, writes their pictures, with `encoders` that it opens."""
        with ExitStack() as stack:
            shapes: list[tuple[int, ...]] = []  # of its frames, as they change
            for result in results:
                if not item.is_video or isinstance(result, BadFrame) or not result.pictures:
                    yield result
                    continue
                frame = result.frame
                if frame.image.shape not in shapes:
                    shapes.append(frame.image.shape)
                    if len(shapes) == 2:
                        yield BadFrame(item, _changed(frame))
                if frame.image.shape == shapes[0]:
                    start = time.perf_counter()
                    if not encoders:
                        start_s = frame.time_s if self.cut.start_s else Fraction(0)
                        for kind in result.pictures:
                            encoders[kind] = stack.enter_context(self._encoder(kind, frame, start_s))
                    for kind, picture in result.pictures.items():
                        encoders[kind].write(picture, frame.time_s - start_s)
                    result.timings_ms["write"] += 1000 * (time.perf_counter() - start)
                yield result

    def _encoder(self, kind: Kind, frame: Frame, start_s: Fraction) -> VideoWriter:
        path = frame.item.path
        info = video_info(path)
        height, width, _ = frame.image.shape
        sound = Sound(path, start_s, self.cut.end_s)
        target = self._target(kind, frame.item.stem, True)
        return VideoWriter(target, (height, width), info.fps / self.cut.every, time_base=info.time_base, sound=sound)

    def _target(self, kind: Kind, stem: str, is_video: bool) -> Path:
        path = self.outputs.path(kind, stem, is_video)
        if path.resolve() in self.sources:
            raise UsageError(f"{path}: is a source and would be overwritten: choose another --out")
        return path
