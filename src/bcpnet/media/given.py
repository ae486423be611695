"""What callers hand over to be segmented: the path of an image, a Pillow image, or an array."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
from PIL import Image

from bcpnet.errors import InputError, UsageError
from bcpnet.media.images import MOST_PIXELS, orientation_of, read_image, upright
from bcpnet.storage.damaged import damage_told

Channels = Literal["rgb", "bgr"]
Frame = npt.NDArray[np.uint8]


def frame_of(image: str | Path | Image.Image | Frame, channels: Channels) -> Frame:
    """H x W x 3 uint8, upright: an array itself, RGB of all else.

    Args:
        image: the path of an image file, a Pillow image, or an H x W x 3 uint8 array.
        channels: order of the colours in an array.

    Raises:
        InputError: the image cannot be read, has more than 178 megapixels, or is none of these.
        UsageError: other channels, or "bgr" for what is no array.
    """
    if channels not in get_args(Channels):
        raise UsageError(f"channels {channels!r}: need 'rgb' or 'bgr'")
    if isinstance(image, np.ndarray):
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or image.size == 0:
            raise InputError(f"an array of shape {image.shape} and type {image.dtype}: need H x W x 3 uint8")
        height, width, _ = image.shape
        if height * width > MOST_PIXELS:  # a view can be of any size and hardly take memory; a result takes it
            most = f"more than {MOST_PIXELS // 10**6} megapixels"
            raise InputError(f"an array of {height}x{width} pixels, {most}: scale it down or cut it up")
        return image
    require_rgb(channels)
    if isinstance(image, (str, Path)):
        return _read(image)
    if isinstance(image, Image.Image):
        return _pixels_of(image)
    raise InputError(f"{type(image).__name__}: need a path, a Pillow image or an H x W x 3 uint8 array")


def require_rgb(channels: Channels) -> None:
    """Raises UsageError where the channels of what is no array are said to be others than RGB."""
    if channels != "rgb":
        raise UsageError(f"channels {channels!r}: only arrays need them, files and Pillow images say theirs themselves")


def _read(path: str | Path) -> Frame:
    try:
        return read_image(path)
    except InputError:
        from bcpnet.media.sources import read_picture  # loads FFmpeg, and says so if it is a video

        return read_picture(path)


def _pixels_of(image: Image.Image) -> Frame:
    name = getattr(image, "filename", "") or "a Pillow image"
    if image.mode.startswith(("I", "F")):
        raise InputError(f"{name}: of mode {image.mode}: need 8 bits a channel; give the file's path")
    if 0 in image.size:
        raise InputError(f"{name}: of {image.width}x{image.height} pixels")
    with damage_told(name, "PIL", "cannot be used"):
        return np.array(upright(np.asarray(image.convert("RGB")), orientation_of(image)))
