"""Image in, class of every pixel out: what most users touch, and all of it public as `bcpnet.NAME`."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from bcpnet.backends import open_backend
from bcpnet.backends.base import Backend, ClassMapBackend
from bcpnet.drawing import pictures as draw
from bcpnet.errors import InputError, UsageError
from bcpnet.frames.preprocess import checked_size_hw, network_size_hw, preprocess
from bcpnet.frames.upsample import upsample_argmax
from bcpnet.labels import ClassSet
from bcpnet.media.images import read_image, save_class_map
from bcpnet.pipeline import ordered_map

Frame = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Segmentation:
    """What a network sees in one image.

    >>> result = bcpnet.load("camvid")("street.jpg")
    >>> result
    <Segmentation: 720x960, 11 classes of camvid, ... ms>
    >>> road = result.class_map == result.classes.names.index("road")   # H x W bool
    >>> result.save("class_map.png")

    Attributes:
        image: H x W x 3 uint8, RGB.
        class_map: H x W uint8, the class of every pixel: an index into `classes.names`.
        classes: names and colours.
        timings_ms: milliseconds by stage: "pre" (resize), "network", "post" (upsample, argmax; inside
            "network" where the backend returns class maps).
    """

    image: Frame
    class_map: npt.NDArray[np.uint8]
    classes: ClassSet
    timings_ms: dict[str, float]

    def __repr__(self) -> str:
        """Height x width, the classes, the time it took in all."""
        height, width = self.class_map.shape
        return f"<Segmentation: {height}x{width}, {_told(self.classes)}, {sum(self.timings_ms.values()):.1f} ms>"

    def colour_map(self) -> Image.Image:
        """The class map in the classes' colours, RGB."""
        return Image.fromarray(draw.colour_map(self.class_map, self.classes.palette()))

    def overlay(self, opacity: float = 0.5, legend: bool = True, palette: draw.Palette = "clear") -> Image.Image:
        """The image under the colours of its classes at `opacity` (0..1), with lines at their borders, RGB.

        Args:
            opacity: of the colours.
            legend: draw names and colours into a corner.
            palette: "clear" = light colours that are far apart, for colour-blind people too; "dataset" = the classes'
                own.
        """
        names, colours = self.classes.names, draw.palette_colours(palette, self.classes.names, self.classes.colours)
        return Image.fromarray(draw.overlay_with_contours(self.image, self.class_map, names, colours, opacity, legend))

    def shares(self) -> dict[str, float]:
        """Share of the pixels, 0..1, by class name; all classes, in order."""
        counts = np.bincount(self.class_map.reshape(-1), minlength=len(self.classes))
        return dict(zip(self.classes.names, (counts / self.class_map.size).tolist(), strict=True))

    def save(self, path: str | Path, palette: bool = True) -> None:
        """Writes the class map as a PNG of class ids, in which viewers and Pillow's convert show the classes' colours.

        OpenCV, imageio, scikit-image and matplotlib read the colours of such a file instead of its ids: for them,
        `palette=False` writes plain grey.

        Raises:
            UsageError: `path` does not end in .png.
            InputError: it cannot be written.
        """
        if Path(path).suffix.lower() != ".png":
            raise UsageError(f"{path}: class maps are written as .png, other formats would change the classes")
        save_class_map(path, self.class_map, self.classes.palette() if palette else None)


class Segmenter:
    """Segments images with one network; `bcpnet.load` makes one.

    Attributes:
        backend: what runs the network; `backend.metadata.classes` are its classes.
        size_hw: height and width that every frame is resized to for the network, in pixels; None = the short
            side the network was trained for, aspect kept.
    """

    def __init__(self, backend: Backend, size_hw: Sequence[int] | None = None) -> None:
        """Raises UsageError where `size_hw` is not two ints, or one is under 32."""
        self.backend = backend
        self.size_hw = checked_size_hw(size_hw)

    def __repr__(self) -> str:
        """The classes, the backend, the size of its input."""
        metadata = self.backend.metadata
        size = f"short side {metadata.short_side}" if self.size_hw is None else "{}x{}".format(*self.size_hw)
        return f"<Segmenter: {_told(metadata.classes)}, {self.backend.name}, {size}>"

    def __call__(self, image: str | Path | Image.Image | Frame) -> Segmentation:
        """Segments one image, at its own size.

        Args:
            image: the path of an image file, a Pillow image, or an H x W x 3 uint8 array, RGB.

        Raises:
            InputError: the file cannot be read, or the array is of another shape or type.
        """
        frame = _frame(image)
        height, width = frame.shape[:2]
        metadata = self.backend.metadata
        start = time.perf_counter()
        network_input = preprocess(frame, self.size_hw or network_size_hw((height, width), metadata.short_side))
        preprocessed = time.perf_counter()
        timings_ms = {"pre": 1000 * (preprocessed - start)}
        if isinstance(self.backend, ClassMapBackend):
            class_map = self.backend.class_maps(network_input[None], (height, width))[0]
            timings_ms["network"] = 1000 * (time.perf_counter() - preprocessed)
        else:
            logits = self.backend(network_input[None])[0]
            inferred = time.perf_counter()
            class_map = upsample_argmax(logits, (height, width))
            timings_ms["network"] = 1000 * (inferred - preprocessed)
            timings_ms["post"] = 1000 * (time.perf_counter() - inferred)
        return Segmentation(frame, class_map, metadata.classes, timings_ms)

    def stream(self, frames: Iterable[Frame], workers: int = 1) -> Generator[Segmentation, None, None]:
        """Segments frame after frame, in order, ahead of the caller; sizes may differ.

        >>> frames = [np.zeros((360, 480, 3), np.uint8)] * 2        # any iterable: a camera, a decoded video
        >>> for result in bcpnet.load("camvid", threads=1).stream(frames, workers=2):
        ...     print(result.class_map.shape)
        (360, 480)
        (360, 480)

        The next frames are taken and segmented while the caller looks at this one: at most 2 x workers + 1 are held.
        For most frames a second, `load(threads=1)` and as many workers as cores; for least delay of each frame, one
        worker that has all threads. Close it to stop early, as `bcpnet.pipeline.ordered_map` says.
        """
        return ordered_map(self, frames, workers)


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


def _frame(image: str | Path | Image.Image | Frame) -> Frame:
    if isinstance(image, (str, Path)):
        return read_image(image)
    if isinstance(image, Image.Image):
        if image.mode.startswith(("I", "F")):
            raise InputError(f"a Pillow image of mode {image.mode}: need 8 bits a channel; give the file's path")
        return np.array(ImageOps.exif_transpose(image).convert("RGB"))
    if not isinstance(image, np.ndarray):
        raise InputError(f"{type(image).__name__}: need a path, a Pillow image or an H x W x 3 uint8 array")
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or image.size == 0:
        raise InputError(f"an array of shape {image.shape} and type {image.dtype}: need H x W x 3 uint8, RGB")
    return image
