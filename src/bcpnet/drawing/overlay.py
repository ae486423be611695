"""Class maps in colour, by themselves and over their images. In C where that was compiled, else Pillow and NumPy."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

from bcpnet import native
from bcpnet.errors import UsageError

Picture = npt.NDArray[np.uint8]  # H x W x 3, RGB
_ClassMap = npt.NDArray[np.uint8]

_IGNORE = 255
_BLOCK_ROWS = 64  # rows of an overlay made at a time, so that what lies between stays in the cache


def colour_map(class_map: _ClassMap, palette: npt.NDArray[np.uint8]) -> Picture:
    """H x W uint8 class map -> H x W x 3 uint8: the colour of each pixel's class in `palette`, 256 x 3 uint8."""
    _check(palette)
    kernels = native.kernels()
    return _colours_in_pillow(class_map, palette) if kernels is None else _colours_in_c(kernels, class_map, palette)


def overlay(image: Picture, class_map: _ClassMap, palette: npt.NDArray[np.uint8], opacity: float = 0.5) -> Picture:
    """The image under the colours of its classes.

    Args:
        image: H x W x 3 uint8.
        class_map: H x W uint8; where it is 255 (ignore) the image stays as it is.
        palette: 256 x 3 uint8.
        opacity: of the colours, in steps of 1/256; 0 gives the image, 1 the colours.

    Returns:
        H x W x 3 uint8.

    Raises:
        UsageError: an opacity outside 0..1.
        ValueError: image and class map differ in size, or the palette is of another shape.
    """
    if not 0 <= opacity <= 1:
        raise UsageError(f"opacity {opacity}: need 0 to 1")
    _check(palette)
    if image.shape != (*class_map.shape, 3):
        raise ValueError(f"an image of shape {image.shape} and a class map of shape {class_map.shape}")
    weight = round(opacity * 256)
    kernels = native.kernels()
    if kernels is None:
        return _overlay_in_numpy(image, class_map, palette, weight)
    return _overlay_in_c(kernels, image, class_map, palette, weight)


def _check(palette: npt.NDArray[np.uint8]) -> None:
    if palette.shape != (256, 3) or palette.dtype != np.uint8:
        raise ValueError(f"a palette of shape {palette.shape} and type {palette.dtype}: need 256 x 3 uint8")


def _colours_in_c(kernels: int, class_map: _ClassMap, palette: npt.NDArray[np.uint8]) -> Picture:
    library = native.library()
    assert library is not None  # the kernels are its
    class_map, palette = _with_whole_rows(class_map), np.ascontiguousarray(palette)
    picture = np.empty((*class_map.shape, 3), np.uint8)
    library.bcpnet_colour_map(
        kernels, class_map.ctypes.data, class_map.strides[0], *class_map.shape, palette.ctypes.data, picture.ctypes.data
    )
    return picture


def _overlay_in_c(
    kernels: int, image: Picture, class_map: _ClassMap, palette: npt.NDArray[np.uint8], weight: int
) -> Picture:
    library = native.library()
    assert library is not None
    image, class_map, palette = _with_whole_rows(image), _with_whole_rows(class_map), np.ascontiguousarray(palette)
    picture = np.empty(image.shape, np.uint8)
    if not library.bcpnet_overlay(
        kernels, image.ctypes.data, image.strides[0], class_map.ctypes.data, class_map.strides[0], *class_map.shape,
        palette.ctypes.data, weight, picture.ctypes.data,
    ):  # fmt: skip
        raise MemoryError("drawing an overlay")
    return picture


def _with_whole_rows(array: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The array, copied if there are gaps within its rows; between them is fine."""
    within = (3, 1) if array.ndim == 3 else (1,)
    return array if array.strides[1:] == within and array.dtype == np.uint8 else np.ascontiguousarray(array, np.uint8)


def _colours_in_pillow(class_map: _ClassMap, palette: npt.NDArray[np.uint8]) -> Picture:
    return np.array(_coloured(class_map, palette))


def _overlay_in_numpy(image: Picture, class_map: _ClassMap, palette: npt.NDArray[np.uint8], weight: int) -> Picture:
    # The image's part is rounded down, so that the sum stays under 256.
    colours = ((palette.astype(np.uint16) * weight + 128) >> 8).astype(np.uint8)
    picture = np.empty_like(image)
    for start in range(0, len(image), _BLOCK_ROWS):
        rows = slice(start, start + _BLOCK_ROWS)
        if weight == 128:
            np.right_shift(image[rows], 1, out=picture[rows])
        else:
            picture[rows] = (image[rows].astype(np.uint16) * np.uint16(256 - weight)) >> 8
        picture[rows] += np.asarray(_coloured(class_map[rows], colours))
    ignored = class_map == _IGNORE
    if ignored.any():
        picture[ignored] = image[ignored]
    return picture


def _coloured(class_map: _ClassMap, palette: npt.NDArray[np.uint8]) -> Image.Image:
    picture = Image.fromarray(class_map)
    picture.putpalette(palette.tobytes())
    return picture.convert("RGB")  # 1 ms at 1080p, where indexing the palette takes 27
