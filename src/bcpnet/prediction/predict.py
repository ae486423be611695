"""Files in, results out: decoding, segmenting, drawing and writing overlap. What `bcpnet predict` does, in silence."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bcpnet.errors import InputError, UsageError
from bcpnet.media.live.sink import Sink
from bcpnet.media.sources import BadFrame, Frame, MediaItem, frames
from bcpnet.media.video import ALL, Cut, Sound, VideoWriter, video_info
from bcpnet.prediction.frame_files import draw_pictures, write_files
from bcpnet.prediction.live import results_of
from bcpnet.prediction.outputs import PNG_A_FRAME
from bcpnet.prediction.outputs import Kind as Kind
from bcpnet.prediction.outputs import Outputs as Outputs
from bcpnet.prediction.steady import smoothed, with_smoothers
from bcpnet.prediction.videos import Videos
from bcpnet.segmenter import Segmentation, Segmenter
from bcpnet.storage.files import real_path

_IS_A_SOURCE = "is a source and would be overwritten: write elsewhere (--out, --save-to)"
_LIVE_UNIT_S = Fraction(1, 90_000)


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
        age_ms: of a live source, milliseconds from when its data came until this was done; None for files.
    """

    frame: Frame
    segmentation: Segmentation
    pictures: dict[Kind, npt.NDArray[np.uint8]]
    files: list[Path]
    description: Any
    timings_ms: dict[str, float]
    age_ms: float | None = None

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
    sink: Sink | None = None,
    smooth: bool = False,
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

    A live source gives its next frame when a worker is free for it; one worker that has all threads makes the results
    youngest.

    Args:
        items: from `find_media`; or one that has a live source.
        segmenter: for most frames a second, opened with as few threads as `divide_threads` says.
        outputs: what to write.
        workers: number of frames worked on at once.
        cut: which frames of the videos.
        check: called several times a second; what it raises ends the iteration.
        describe: what else to make of each result, in the thread that segments it.
        sink: where overlays go, too; once it does not take them, that is told, and a live source is stopped.
        smooth: smooth the results of videos over time.

    Raises:
        Stopped: for KeyboardInterrupt where videos are kept.
        UsageError: two results, or a result and a source, share a file, as far as is known before the first frame.
        InputError: nothing can be written in the folder of `outputs`, or a file of another program lies in the place of
            the one overlay.
    """
    files = frozenset(real_path(item.path) for item in items if item.source is None)
    run = _Run(segmenter, outputs, cut, files, describe, sink, check)
    if outputs.kinds or outputs.video_kinds or outputs.cityscapes:
        outputs.check_folder()
    if outputs.overlay_path is not None:
        outputs.keep_foreign(outputs.overlay_path)
    run.check_targets(items)
    source = items[0].source if items else None
    taken = frames(items, cut)
    running = (
        results_of(smoothed(run.work, segmenter), with_smoothers(taken), workers, check, source)
        if smooth
        else results_of(run.work, taken, workers, check, source)
    )
    with running as results:
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
    sink: Sink | None
    check: Callable[[], None] | None

    def check_targets(self, items: Sequence[MediaItem]) -> None:
        """Raises UsageError where two results, or a result and a source, share a name, as far as is known yet."""
        seen = set()
        for item in items:
            for kind in set(self.outputs.kinds_of(item)):
                if kind in PNG_A_FRAME and item.is_video:
                    continue
                target = self.outputs.path(kind, item.stem, item.is_video)
                if real_path(target) in self.sources:
                    raise UsageError(f"{target}: {_IS_A_SOURCE}")
                if target in seen:
                    raise UsageError(f"two results would be called {target.name}: save these kinds separately")
                seen.add(target)

    def work(self, frame: Frame | BadFrame, segment: Callable[[Frame], Segmentation] | None = None) -> _Done:
        """Segments, or has it done by `segment`; draws, and writes all but videos."""
        if isinstance(frame, BadFrame):
            return _Done(frame.item, None, [frame.error])
        try:
            segmentation = self._sure(frame, self.segmenter(frame.image) if segment is None else segment(frame))
            start = time.perf_counter()
            description = None if self.describe is None else self.describe(segmentation)
            described = time.perf_counter()
            pictures = draw_pictures(self.outputs, self._drawn(frame.item), segmentation)
        except UsageError:
            raise
        except (InputError, MemoryError) as error:
            height, width, _ = frame.image.shape
            no_memory = f"not enough memory for {height}x{width} pixels ({error})"
            why = no_memory if isinstance(error, MemoryError) else str(error)
            return _Done(frame.item, None, [InputError(f"{frame.item.name}: {why}")])
        drawn = time.perf_counter()
        files, errors = write_files(self.outputs, frame, segmentation, pictures, self._checked)
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
        sink = self.sink
        with videos:
            for done in results:
                errors, prediction = done.errors, done.prediction
                if item.is_video and prediction is not None and prediction.pictures:
                    start = time.perf_counter()
                    frame = prediction.frame
                    if self.cut.start_s and not videos.writers:
                        start_s = frame.time_s
                    kinds = self.outputs.kinds_of(item)
                    pictures = {kind: picture for kind, picture in prediction.pictures.items() if kind in kinds}
                    errors = errors + videos.write(frame, frame.time_s - start_s, pictures)
                    prediction.files.extend(writer.path for writer in videos.writers.values())
                    if sink is not None:
                        try:
                            self._show(sink, prediction, frame.time_s - start_s)
                        except InputError as error:
                            errors, sink = [*errors, error], None
                            if item.source is not None:
                                item.source.stop()
                    prediction.timings_ms["write"] += 1000 * (time.perf_counter() - start)
                yield from (BadFrame(item, error) for error in errors)
                if prediction is not None:
                    received = prediction.frame.received
                    yield prediction if received is None else replace(prediction, age_ms=received.age_ms())
        yield from (BadFrame(item, error) for error in videos.errors)

    def open_video(self, kind: Kind, frame: Frame) -> VideoWriter:
        """For the frames of a source, of which that is the first."""
        target = self._checked(self.outputs.path(kind, frame.item.stem, True))
        height, width, _ = frame.image.shape
        if frame.item.source is not None:
            return VideoWriter(target, (height, width), frame.item.source.fps, time_base=_LIVE_UNIT_S)
        path = frame.item.path
        info = video_info(path)
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

    def _drawn(self, item: MediaItem) -> Collection[Kind]:
        kinds = self.outputs.kinds_of(item)
        return kinds if self.sink is None else {*kinds, "overlay"}

    def _show(self, sink: Sink, done: Prediction, time_s: Fraction) -> None:
        item = done.item

        def fps() -> Fraction:
            return video_info(item.path).fps / self.cut.every if item.source is None else item.source.fps

        sink.write(done.pictures["overlay"], time_s, fps, self.check)

    def _checked(self, path: Path) -> Path:
        if real_path(path) in self.sources:
            raise InputError(f"{path}: {_IS_A_SOURCE}")
        self.outputs.keep_foreign(path)
        return path
