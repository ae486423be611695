"""Files in, results out: decoding, segmenting, drawing and writing overlap. What `bcpnet predict` does, in silence."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bcpnet.drawing import pictures as draw
from bcpnet.errors import InputError, UsageError
from bcpnet.media.cityscapes_submission import submission_path, write_cityscapes
from bcpnet.media.images import save_class_map, save_image
from bcpnet.media.sources import BadFrame, Frame, MediaItem, frames
from bcpnet.media.video import ALL, Cut, Sound, VideoWriter, video_info
from bcpnet.pipeline import ordered_map
from bcpnet.prediction.outputs import Kind as Kind
from bcpnet.prediction.outputs import Outputs as Outputs
from bcpnet.prediction.videos import Videos
from bcpnet.segmenter import Segmentation, Segmenter

_IS_A_SOURCE = "is a source and would be overwritten: choose another --out"
_EVERY_FRAME_A_PNG: tuple[Kind, ...] = ("classmap", "ids", "confidence")  # of a video, too; others are videos then


@dataclass(frozen=True, eq=False)
class Prediction:
    """A frame that is done: what was asked for is written, or, of a video, handed to its encoder.

    Attributes:
        frame: the decoded frame.
        segmentation: what the network sees in it.
        pictures: H x W x 3 uint8 RGB by kind, of those that were drawn ("overlay", "colour").
        files: those written that hold its results; of a video, also the videos that it is in.
        description: what `describe` made of it.
        timings_ms: milliseconds by stage, each as measured in the thread that it ran in: "decode", "pre", "network",
            "post", "confidence" and "describe" where they are asked for, "draw", "write". The stages of several frames
            overlap: their sum is not the time between frames.
    """

    frame: Frame
    segmentation: Segmentation
    pictures: dict[Kind, npt.NDArray[np.uint8]]
    files: list[Path]
    description: Any
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
    items: Sequence[MediaItem],
    segmenter: Segmenter,
    outputs: Outputs,
    workers: int = 1,
    cut: Cut = ALL,
    check: Callable[[], None] | None = None,
    describe: Callable[[Segmentation], Any] | None = None,
) -> Generator[Prediction | BadFrame, None, None]:
    """Segments every frame of `items` and writes `outputs`; yields the frames in order as they are done.

    Three stages overlap: one thread decodes; `workers` threads segment, draw and write pictures; the caller's
    thread encodes videos. At most 2 x workers + 1 frames are held. A video is whole once the first frame of the next
    item comes; it is dropped where an error, or `close`, ends the iteration before, and kept, with the frames done
    until then, where KeyboardInterrupt does (if it comes in your own loop, `throw` it in). A video has the times of its
    source's frames and, where MP4 takes it, its sound. Close the generator to stop early, as
    `bcpnet.pipeline.ordered_map` says.

    A BadFrame says what cannot be read, segmented or written, and the rest goes on: other frames, other results of the
    same frame, whose Prediction comes after it. Where a video's size changes, the videos written hold the frames of its
    first size. A file that is there and that bcpnet did not write is kept, and told; so is a source.

    Args:
        items: from `find_media`.
        segmenter: for most frames a second, opened with as few threads as `divide_threads` says.
        outputs: what to write.
        workers: number of frames worked on at once.
        cut: which frames of the videos.
        check: called several times a second; what it raises ends the iteration.
        describe: what else to make of each result, in the thread that segments it.

    Raises:
        Stopped: for KeyboardInterrupt where videos are kept.
        UsageError: two results, or a result and a source, share a file, as far as is known before the first frame.
        InputError: nothing can be written in the folder of `outputs`.
    """
    run = _Run(segmenter, outputs, cut, frozenset(item.path.resolve() for item in items), describe)
    if outputs.kinds or outputs.video_kinds or outputs.cityscapes:
        outputs.check_folder()
    run.check_targets(items)
    with closing(ordered_map(run.work, frames(items, cut), workers, check)) as results:
        for item, of_item in groupby(results, key=lambda result: result.item):
            videos: Videos[Kind] = Videos(run.open_video)
            try:
                yield from run.encode(item, of_item, videos)
            except KeyboardInterrupt as stop:
                kept = [writer for writer in videos.writers.values() if writer.is_written]
                if kept:
                    raise Stopped([writer.path for writer in kept], kept[0].frames) from stop
                raise


@dataclass(frozen=True)
class _Done:
    """What came of a frame: the prediction, if there is one, and what went wrong."""

    item: MediaItem
    prediction: Prediction | None
    errors: list[InputError]


@dataclass(frozen=True)
class _Run:
    segmenter: Segmenter
    outputs: Outputs
    cut: Cut
    sources: frozenset[Path]
    describe: Callable[[Segmentation], Any] | None

    def check_targets(self, items: Sequence[MediaItem]) -> None:
        """Raises UsageError where two results, or a result and a source, share a name, as far as is known yet."""
        seen = set()
        for item in items:
            for kind in set(self.outputs.kinds_of(item)):
                if kind in _EVERY_FRAME_A_PNG and item.is_video:
                    continue
                target = self.outputs.path(kind, item.stem, item.is_video)
                if target.resolve() in self.sources:
                    raise UsageError(f"{target}: {_IS_A_SOURCE}")
                if target in seen:
                    raise UsageError(f"two results would be called {target.name}: save these kinds separately")
                seen.add(target)

    def work(self, frame: Frame | BadFrame) -> _Done:
        """Segments, draws, and writes all but videos."""
        if isinstance(frame, BadFrame):
            return _Done(frame.item, None, [frame.error])
        try:
            segmentation = self._sure(frame, self.segmenter(frame.image))
            start = time.perf_counter()
            description = None if self.describe is None else self.describe(segmentation)
            described = time.perf_counter()
            pictures = self._draw(frame, segmentation)
        except UsageError:
            raise
        except (InputError, MemoryError) as error:
            height, width, _ = frame.image.shape
            no_memory = f"not enough memory for {height}x{width} pixels ({error})"
            why = no_memory if isinstance(error, MemoryError) else str(error)
            return _Done(frame.item, None, [InputError(f"{frame.item.path}: {why}")])
        drawn = time.perf_counter()
        files, errors = self._write(frame, segmentation, pictures)
        timings_ms = {
            "decode": frame.decode_ms,
            **segmentation.timings_ms,
            **({} if self.describe is None else {"describe": 1000 * (described - start)}),
            "draw": 1000 * (drawn - described),
            "write": 1000 * (time.perf_counter() - drawn),
        }
        return _Done(frame.item, Prediction(frame, segmentation, pictures, files, description, timings_ms), errors)

    def encode(
        self, item: MediaItem, results: Iterable[_Done], videos: Videos[Kind]
    ) -> Iterator[Prediction | BadFrame]:
        """Passes on the results of one file; of a video, writes their pictures."""
        start_s = Fraction(0)
        with videos:
            for done in results:
                errors, prediction = done.errors, done.prediction
                if item.is_video and prediction is not None and prediction.pictures:
                    start = time.perf_counter()
                    frame = prediction.frame
                    if self.cut.start_s and not videos.writers:
                        start_s = frame.time_s
                    errors = errors + videos.write(frame, frame.time_s - start_s, prediction.pictures)
                    prediction.files.extend(writer.path for writer in videos.writers.values())
                    prediction.timings_ms["write"] += 1000 * (time.perf_counter() - start)
                yield from (BadFrame(item, error) for error in errors)
                if prediction is not None:
                    yield prediction
        yield from (BadFrame(item, error) for error in videos.errors)

    def open_video(self, kind: Kind, frame: Frame) -> VideoWriter:
        """For the frames of a source, of which that is the first."""
        path = frame.item.path
        target = self._checked(self.outputs.path(kind, frame.item.stem, True))
        info = video_info(path)
        height, width, _ = frame.image.shape
        start_s = frame.time_s if self.cut.start_s else Fraction(0)
        return VideoWriter(
            target,
            (height, width),
            info.fps / self.cut.every,
            time_base=info.time_base,
            pixel_aspect=info.pixel_aspect,
            sound=Sound(path, start_s, self.cut.end_s),
        )

    def _sure(self, frame: Frame, segmentation: Segmentation) -> Segmentation:
        """With the confidence, where it is asked for, and without the classes that are below the least one."""
        minimum = self.outputs.min_confidence
        if minimum or "confidence" in self.outputs.kinds_of(frame.item):
            start = time.perf_counter()
            segmentation = segmentation.with_min_confidence(minimum)
            segmentation.timings_ms["confidence"] = 1000 * (time.perf_counter() - start)
        return segmentation

    def _draw(self, frame: Frame, segmentation: Segmentation) -> dict[Kind, npt.NDArray[np.uint8]]:
        class_map, classes = segmentation.class_map, segmentation.classes
        kinds = self.outputs.kinds_of(frame.item)
        pictures: dict[Kind, npt.NDArray[np.uint8]] = {}
        if "overlay" in kinds:
            colours = draw.palette_colours(self.outputs.palette, classes.names, classes.colours)
            pictures["overlay"] = draw.overlay_with_contours(
                frame.image, class_map, classes.names, colours, self.outputs.opacity, self.outputs.legend
            )
        if "colour" in kinds:
            pictures["colour"] = draw.colour_map(class_map, classes.palette())
        return pictures

    def _write(
        self, frame: Frame, segmentation: Segmentation, pictures: dict[Kind, npt.NDArray[np.uint8]]
    ) -> tuple[list[Path], list[InputError]]:
        """Writes what is one file a frame: the files, and why some could not be written."""
        class_map, classes = segmentation.class_map, segmentation.classes
        kinds = self.outputs.kinds_of(frame.item)
        writes: dict[Path, Callable[[Path], object]] = {}
        if not frame.item.is_video:
            for kind, picture in pictures.items():
                writes[self.outputs.path(kind, frame.stem, False)] = partial(save_image, image=picture)
        if "classmap" in kinds:
            target = self.outputs.path("classmap", frame.stem, False)
            writes[target] = partial(save_class_map, class_map=class_map, palette=classes.palette())
        if "ids" in kinds:
            writes[self.outputs.path("ids", frame.stem, False)] = partial(save_class_map, class_map=class_map)
        if "confidence" in kinds:
            target = self.outputs.path("confidence", frame.stem, False)
            writes[target] = partial(save_image, image=segmentation.confidence)
        if self.outputs.cityscapes:
            target = submission_path(self.outputs.folder, frame.stem)
            writes[target] = lambda _: write_cityscapes(self.outputs.folder, frame.stem, class_map)
        files, errors = [], []
        for target, write in writes.items():
            try:
                write(self._checked(target))
                files.append(target)
            except InputError as error:
                errors.append(error)
        return files, errors

    def _checked(self, path: Path) -> Path:
        if path.resolve() in self.sources:
            raise InputError(f"{path}: {_IS_A_SOURCE}")
        self.outputs.keep_foreign(path)
        return path
