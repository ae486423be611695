"""Files in, results out: decoding, segmenting, drawing and writing overlap. What `bcpnet predict` does, in silence."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from bcpnet.drawing import pictures as draw
from bcpnet.errors import InputError, UsageError
from bcpnet.media.cityscapes_submission import write_cityscapes
from bcpnet.media.sources import BadFrame, Frame, MediaItem, VideoWriter, frames, save_class_map, save_image, video_info
from bcpnet.pipeline import ordered_map
from bcpnet.segmenter import Segmentation, Segmenter

Kind = Literal["overlay", "classmap", "colour"]


@dataclass(frozen=True)
class Outputs:
    """What is written of every frame, and where.

    Attributes:
        folder: made when the first result is written.
        kinds: overlay = STEM_overlay.jpg, or .mp4 for a video; colour = STEM_colour.png or .mp4; classmap = index
            PNG STEM.png at the frame's own size.
        opacity: of the colours in overlays, 0 to 1.
        cityscapes: whether to write label-id PNGs, too, as `bcpnet.media.cityscapes_submission.write_cityscapes` does.
    """

    folder: Path
    kinds: Sequence[Kind] = ()
    opacity: float = 0.5
    cityscapes: bool = False

    def path(self, kind: Kind, stem: str, is_video: bool) -> Path:
        """Where a result goes."""
        if kind == "classmap":
            return self.folder / f"{stem}.png"
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


def predict(
    items: Sequence[MediaItem], segmenter: Segmenter, outputs: Outputs, workers: int = 1
) -> Generator[Prediction | BadFrame, None, None]:
    """Segments every frame of `items` and writes `outputs`; yields the frames in order as they are done.

    Three stages overlap: one thread decodes; `workers` threads segment, draw and write pictures; the caller's
    thread encodes videos. At most 2 x workers + 1 frames are held. A video is whole once the first frame of the next
    item comes; it is dropped where an error, or `close`, ends the iteration before. Where a video's size changes, a
    BadFrame says so, and the videos written hold the frames of its first size. Close the generator to
    stop early, as `bcpnet.pipeline.ordered_map` says.

    Args:
        items: from `find_media`.
        segmenter: for most frames a second, opened with as few threads as `divide_threads` says.
        outputs: what to write.
        workers: number of frames worked on at once.

    Raises:
        UsageError: two results, or a result and a source, share a file; told before anything is written if it can be.
        InputError: a result cannot be written. What cannot be read comes as a BadFrame instead.
    """
    run = _Run(segmenter, outputs, frozenset(item.path.resolve() for item in items))
    run.check_targets(items)
    with closing(ordered_map(run.work, frames(items), workers)) as results:
        for item, of_item in groupby(results, key=lambda result: result.item):
            with ExitStack() as stack:
                encoders: dict[Kind, VideoWriter] = {}
                shapes: list[tuple[int, ...]] = []  # of its frames, as they change
                for result in of_item:
                    if not item.is_video or isinstance(result, BadFrame) or not result.pictures:
                        yield result
                        continue
                    shape = result.frame.image.shape
                    if shape not in shapes:
                        shapes.append(shape)
                        if len(shapes) == 2:
                            yield BadFrame(item, _changed(result.frame))
                    if shape == shapes[0]:
                        start = time.perf_counter()
                        for kind, picture in result.pictures.items():
                            if kind not in encoders:
                                encoders[kind] = stack.enter_context(run.encoder(kind, item, picture))
                            encoders[kind].write(picture)
                        result.timings_ms["write"] += 1000 * (time.perf_counter() - start)
                    yield result


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
    sources: frozenset[Path]

    def check_targets(self, items: Sequence[MediaItem]) -> None:
        """Raises UsageError where two results, or a result and a source, share a name, as far as is known yet."""
        seen = set()
        for item in items:
            for kind in set(self.outputs.kinds):
                if kind == "classmap" and item.is_video:
                    continue
                target = self._target(kind, item.stem, item.is_video)
                if target in seen:
                    raise UsageError(f"two results would be called {target.name}: save classmap and colour separately")
                seen.add(target)

    def work(self, frame: Frame | BadFrame) -> Prediction | BadFrame:
        """Segments, draws, and writes all but videos."""
        if isinstance(frame, BadFrame):
            return frame
        segmentation = self.segmenter(frame.image)
        class_map, palette = segmentation.class_map, segmentation.classes.palette()
        start = time.perf_counter()
        pictures: dict[Kind, npt.NDArray[np.uint8]] = {}
        if "overlay" in self.outputs.kinds:
            classes = segmentation.classes
            picture = draw.overlay(frame.image, class_map, palette, self.outputs.opacity)
            pictures["overlay"] = draw.with_legend(picture, classes.names, classes.colours)
        if "colour" in self.outputs.kinds:
            pictures["colour"] = draw.colour_map(class_map, palette)
        drawn = time.perf_counter()
        for kind, picture in pictures.items():
            if not frame.item.is_video:
                save_image(self._target(kind, frame.stem, False), picture)
        if "classmap" in self.outputs.kinds:
            save_class_map(self._target("classmap", frame.stem, False), class_map, palette)
        if self.outputs.cityscapes:
            write_cityscapes(self.outputs.folder, frame.stem, class_map)
        timings_ms = {
            "decode": frame.decode_ms,
            **segmentation.timings_ms,
            "draw": 1000 * (drawn - start),
            "write": 1000 * (time.perf_counter() - drawn),
        }
        return Prediction(frame, segmentation, pictures, timings_ms)

    def encoder(self, kind: Kind, item: MediaItem, picture: npt.NDArray[np.uint8]) -> VideoWriter:
        height, width, _ = picture.shape
        return VideoWriter(self._target(kind, item.stem, True), (height, width), video_info(item.path).fps)

    def _target(self, kind: Kind, stem: str, is_video: bool) -> Path:
        path = self.outputs.path(kind, stem, is_video)
        if path.resolve() in self.sources:
            raise UsageError(f"{path}: is a source and would be overwritten: choose another --out")
        return path
