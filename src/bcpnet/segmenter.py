"""Image in, class of every pixel out: what most users touch, and all of it public as `bcpnet.NAME`."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from functools import partial
from numbers import Integral
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from bcpnet.backends import open_backend
from bcpnet.backends.base import Backend, ClassMapBackend
from bcpnet.errors import UsageError
from bcpnet.frames.preprocess import checked_size_hw, network_size_hw, preprocess
from bcpnet.frames.smoothing import Smoother as Smoother
from bcpnet.frames.turns import Turn as Turn
from bcpnet.frames.turns import with_turns as with_turns
from bcpnet.frames.upsample import upsample_argmax
from bcpnet.labels import ClassSet
from bcpnet.media.given import Channels, frame_of, require_rgb
from bcpnet.media.live.address import parse_address
from bcpnet.pipeline import ordered_map
from bcpnet.segmentation import Segmentation as Segmentation  # which used to be here

Frame = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

_LEAST_PROBABILITY = 1e-6
_MOST_WORKERS = 1024  # threads


class Segmenter:
    """Segments images with one network; `bcpnet.load` makes one.

    Attributes:
        backend: what runs the network; `backend.metadata.classes` are its classes.
        size_hw: height and width that every frame is resized to for the network, in pixels; None = the short
            side the network was trained for, aspect kept.
    """

    def __init__(self, backend: Backend, size_hw: Sequence[int] | None = None) -> None:
        """Raises UsageError where `size_hw` is not two ints, each 32 to 16384."""
        self.backend = backend
        self.size_hw = checked_size_hw(size_hw)

    def __repr__(self) -> str:
        """The classes, the backend, the size of its input."""
        metadata = self.backend.metadata
        size = f"short side {metadata.short_side}" if self.size_hw is None else "{}x{}".format(*self.size_hw)
        return f"<Segmenter: {_told(metadata.classes)}, {self.backend.name}, {size}>"

    def __call__(self, image: str | Path | Image.Image | Frame, channels: Channels = "rgb") -> Segmentation:
        """Segments one image, at its own size.

        Args:
            image: the path of an image file, a Pillow image, or an H x W x 3 uint8 array.
            channels: order of the colours in an array: "rgb", or "bgr" as OpenCV has it.

        Raises:
            InputError: the file cannot be read, or the array is of another shape or type, or it has more than 178
                megapixels.
            UsageError: other channels, or "bgr" for what is no array.
        """
        return self._segment([frame_of(image, channels)], channels)[0]

    def batch(
        self, images: Sequence[str | Path | Image.Image | Frame], channels: Channels = "rgb"
    ) -> list[Segmentation]:
        """Segments many images at once: those of one size go through the network together.

        >>> frames = [np.zeros((360, 480, 3), np.uint8)] * 4
        >>> [result.class_map.shape for result in bcpnet.load("camvid").batch(frames)]
        [(360, 480), (360, 480), (360, 480), (360, 480)]

        That pays on GPUs. On CPUs `stream` is quicker, and takes less memory. `timings_ms` has an equal share of the
        time for each image.

        Args:
            images: as `__call__` takes them; sizes may differ.
            channels: as there, of all images.

        Returns:
            A result for each image, in their order.

        Raises:
            InputError, UsageError: as `__call__`.
        """
        frames = [frame_of(image, channels) for image in images]
        of_size: dict[tuple[int, ...], list[int]] = {}
        for index, frame in enumerate(frames):
            of_size.setdefault(frame.shape, []).append(index)
        results: dict[int, Segmentation] = {}
        for indices in of_size.values():
            results |= zip(indices, self._segment([frames[index] for index in indices], channels), strict=True)
        return [results[index] for index in range(len(frames))]

    def in_turn(self, image: Frame, smoother: Smoother, turn: Turn, channels: Channels = "rgb") -> Segmentation:
        """Segments one frame of a sequence and smooths the result over time, as `stream(smooth=True)` does.

        Args:
            image: as `__call__` takes arrays.
            smoother: one for all frames of the sequence.
            turn: of this frame, from `bcpnet.frames.turns.with_turns`: frames may be worked on in several threads.
            channels: as `__call__` says.

        Raises:
            InputError, UsageError: as `__call__`.
        """
        try:
            return self._segment([frame_of(image, channels)], channels, (smoother, turn))[0]
        except BaseException:
            with turn:  # the next one waits for it
                raise

    def _segment(
        self, frames: list[Frame], channels: Channels, smoothing: tuple[Smoother, Turn] | None = None
    ) -> list[Segmentation]:
        """Segments frames of one size; of a sequence, one at a time."""
        height, width = frames[0].shape[:2]
        metadata = self.backend.metadata
        size_hw = self.size_hw or network_size_hw((height, width), metadata.short_side)
        milliseconds = 1000 / len(frames)
        start = time.perf_counter()
        inputs = _stacked([_rgb(preprocess(frame, size_hw), channels) for frame in frames])
        preprocessed = time.perf_counter()
        timings_ms = {"pre": milliseconds * (preprocessed - start)}
        logits: Sequence[Floats | Callable[[], Floats]]
        if smoothing is not None:
            computed = self.backend(inputs)
            inferred = time.perf_counter()
            smoother, turn = smoothing
            with turn:
                begun = time.perf_counter()
                probabilities = smoother(inputs[0], computed[0])
            smoothed = time.perf_counter()
            class_maps = [upsample_argmax(probabilities, (height, width))]
            logits = [partial(_log, probabilities)]
            timings_ms["network"] = milliseconds * (inferred - preprocessed)
            timings_ms["smooth"] = milliseconds * (smoothed - begun)  # without what it waited for its turn
            timings_ms["post"] = milliseconds * (time.perf_counter() - smoothed)
        elif isinstance(self.backend, ClassMapBackend):
            class_maps = list(self.backend.class_maps(inputs, (height, width)))
            logits = [partial(_logits_of, self.backend, network_input) for network_input in inputs]
            timings_ms["network"] = milliseconds * (time.perf_counter() - preprocessed)
        else:
            logits = list(computed := self.backend(inputs))
            inferred = time.perf_counter()
            class_maps = [upsample_argmax(of_frame, (height, width)) for of_frame in computed]
            timings_ms["network"] = milliseconds * (inferred - preprocessed)
            timings_ms["post"] = milliseconds * (time.perf_counter() - inferred)
        return [
            Segmentation(_rgb(frame, channels), class_map, metadata.classes, dict(timings_ms), of_frame)
            for frame, class_map, of_frame in zip(frames, class_maps, logits, strict=True)
        ]

    def stream(
        self,
        frames: Iterable[Frame] | str | Path,
        workers: int = 1,
        channels: Channels = "rgb",
        smooth: bool = False,
    ) -> Generator[Segmentation, None, None]:
        """Segments frame after frame, in order, ahead of the caller; sizes may differ.

        >>> frames = [np.zeros((360, 480, 3), np.uint8)] * 2        # any iterable: a camera, a decoded video
        >>> for result in bcpnet.load("camvid", threads=1).stream(frames, workers=2):
        ...     print(result.class_map.shape)
        (360, 480)
        (360, 480)

        The next frames are taken and segmented while the caller looks at this one: at most 2 x workers + 1 are held.
        For most frames a second, `load(threads=1)` and as many workers as cores; for least delay of each frame, one
        worker that has all threads. Close it to stop early, as `bcpnet.pipeline.ordered_map` says.

        Args:
            frames: arrays, which are copied as they are taken, so that the source may fill one array anew for each
                frame; or the path of a video, of a folder of images and videos, or a glob; or what names a live source,
                as `bcpnet.open_source` takes it.
            workers: frames worked on at once, 1 to 1024.
            channels: of all frames, as `__call__` says.
            smooth: the frames are those of one video or camera, in order: smooth the results over time, along the
                motion, so that class maps flicker less. A cut, or another size, starts anew.

        Raises:
            InputError, UsageError: as `__call__`, at the frame's place; or a file of a path cannot be read.
            UsageError: another number of workers.
        """
        if not isinstance(workers, Integral) or not 1 <= workers <= _MOST_WORKERS:
            raise UsageError(f"{workers} workers: need 1 to {_MOST_WORKERS}")
        if isinstance(frames, (str, Path)):
            from bcpnet.media.live.results import live_results  # loads FFmpeg
            from bcpnet.media.sources import stream_frames

            require_rgb(channels)
            address = parse_address(frames)
            if address is not None:
                return live_results(address, lambda images: self._results(images, workers, channels, smooth))
            return self._results(stream_frames(frames), workers, channels, smooth)
        return self._results(_copies(frames), workers, channels, smooth)

    def _results(
        self, source: Iterator[Frame], workers: int, channels: Channels, smooth: bool
    ) -> Generator[Segmentation, None, None]:
        if not smooth:
            return ordered_map(partial(self, channels=channels), source, workers)
        smoother = Smoother()
        return ordered_map(lambda item: self.in_turn(item[0], smoother, item[1], channels), with_turns(source), workers)


def load(
    weights: str | Path = "camvid",
    *,
    backend: str | None = None,
    size_hw: Sequence[int] | None = None,
    threads: int | None = None,
) -> Segmenter:
    """Opens weights for segmenting images.

    >>> bcpnet.load("camvid", backend="onnxruntime", size_hw=(360, 480))
    <Segmenter: 11 classes of camvid, onnxruntime, 360x480>

    Args:
        weights: a name that ships (`bcpnet models` lists them), a .onnx or .safetensors file, or the folder of a run.
        backend: "native", "onnxruntime", "openvino" or "pytorch"; by default the one that `weights` call for; "auto" =
            the fastest here, by a trial of about a second that is remembered.
        size_hw: height and width of the network input, in pixels; by default each frame's short side becomes
            the one the network was trained for.
        threads: number of CPU threads; by default the runtime's own choice.

    Raises:
        UsageError: an unknown name, a backend that is not installed or cannot read such weights, a bad size.
        InputError: the weights cannot be read.
    """
    return Segmenter(open_backend(weights, backend, threads, checked_size_hw(size_hw)), size_hw)


def _told(classes: ClassSet) -> str:
    return f"{len(classes)} classes of {classes.name}"


def _copies(frames: Iterable[Frame]) -> Iterator[Frame]:
    source = iter(frames)
    try:
        for frame in source:
            yield frame_of(frame, "rgb").copy() if isinstance(frame, np.ndarray) else frame
    finally:
        close = getattr(source, "close", None)
        if close is not None:
            close()


def _rgb(frame: Frame, channels: Channels) -> Frame:
    return frame if channels == "rgb" else frame[:, :, ::-1]


def _stacked(frames: list[Frame]) -> Frame:
    return np.ascontiguousarray(frames[0])[None] if len(frames) == 1 else np.stack(frames)


def _log(probabilities: Floats) -> Floats:
    logits: Floats = np.log(np.fmax(probabilities, np.float32(_LEAST_PROBABILITY)))
    return logits


def _logits_of(backend: Backend, network_input: Frame) -> Floats:
    logits: Floats = backend(network_input[None])[0]
    return logits
