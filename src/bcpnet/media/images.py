"""Image files: any picture in as RGB, pictures and class maps out."""

from __future__ import annotations

import io
import struct
import zlib
from ctypes import CDLL
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from bcpnet import native
from bcpnet.errors import InputError
from bcpnet.storage.files import write_bytes

# What Pillow's decoders raise on damaged bytes (found by changing bytes of files of 16 formats at random).
_DECODER_ERRORS = (OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, RuntimeError, struct.error)


def read_image(path: str | Path) -> npt.NDArray[np.uint8]:
    """Reads any image that Pillow reads as H x W x 3 uint8, RGB, upright (EXIF orientation applied).

    Grey is repeated to three channels; 16-bit values are scaled to 8 bits (value / 257, rounded); transparency is
    dropped and the colours under it kept, as cv2.imread does; of an animation or a stack, the first picture.

    Raises:
        InputError: missing, a folder, empty, damaged or truncated, not an image, of floating-point or 32-bit
            pixels, or above Pillow's guard against decompression bombs (2 x PIL.Image.MAX_IMAGE_PIXELS, 179
            megapixels; Pillow warns from half of that).
    """
    path = Path(path)
    try:
        with Image.open(path) as image:
            ImageOps.exif_transpose(image, in_place=True)
            return _to_rgb(image)
    except Image.DecompressionBombError as error:
        limit = 2 * (Image.MAX_IMAGE_PIXELS or 0) // 10**6
        raise InputError(f"{path}: too large, more than {limit} megapixels: scale it down or cut it up") from error
    except UnidentifiedImageError as error:
        reason = "an empty file" if path.stat().st_size == 0 else "not an image of a known format, or damaged"
        raise InputError(f"{path}: {reason}") from error
    except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
        raise InputError(f"{path}: cannot read: {error.strerror}") from error
    except _DECODER_ERRORS as error:
        raise InputError(f"{path}: damaged or unsupported image ({error})") from error


def save_image(path: str | Path, image: npt.NDArray[np.uint8]) -> None:
    """Writes H x W x 3 (RGB) or H x W (grey) uint8 in the format of the suffix (.png, .jpg, ...).

    Raises:
        InputError: cannot write there, disk full, a suffix of no image format.
    """
    path = Path(path)
    # PNG level 1 takes a quarter of the default's time (140 ms, not 530, for a 1080p photo), 17 % more bytes.
    _save(path, Image.fromarray(image), {"compress_level": 1, "quality": 95})


def save_class_map(
    path: str | Path, class_map: npt.NDArray[np.uint8], palette: npt.NDArray[np.uint8] | None = None
) -> None:
    """Writes the values of `class_map`, H x W uint8, as a PNG of 8 bits a pixel.

    With `palette`, 256 x 3 uint8, it is an index PNG: viewers show colours, Pillow reads the values, but OpenCV,
    imageio, scikit-image and matplotlib read the colours. Without, it is a grey PNG: all of them read the values,
    and viewers show a nearly black picture.

    Raises:
        InputError: cannot write there, or the disk is full.
    """
    library = native.library()
    if library is not None and Path(path).suffix.lower() == ".png":
        write_bytes(Path(path), _png_in_c(library, class_map, palette))
        return
    picture = Image.fromarray(class_map)
    if palette is not None:
        picture.putpalette(palette.tobytes())
    _save(Path(path), picture, {"compress_type": zlib.Z_RLE})  # runs are all that class maps have


def _png_in_c(library: CDLL, class_map: npt.NDArray[np.uint8], palette: npt.NDArray[np.uint8] | None) -> bytes:
    """An index or grey PNG (w3.org/TR/png-3), compressed by runs: a fifth of zlib's time, under twice its bytes."""
    class_map = np.ascontiguousarray(class_map)
    height, width = class_map.shape
    data = np.empty(height * (width + 1) * 9 // 8 + 32, np.uint8)
    length = library.bcpnet_deflate_runs(class_map.ctypes.data, height, width, data.ctypes.data)
    colour_type = 0 if palette is None else 3
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, colour_type, 0, 0, 0)),
        *([] if palette is None else [(b"PLTE", palette.tobytes())]),
        (b"IDAT", data[:length].tobytes()),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(content, zlib.crc32(kind)))
        for kind, content in chunks
    )


def _to_rgb(image: Image.Image) -> npt.NDArray[np.uint8]:
    if image.mode == "F":
        raise ValueError("floating-point pixels; save it with 8 or 16 bits a channel")
    if image.mode.startswith("I"):  # 16-bit grey is "I;16..." or, from a PGM, "I"
        values = np.asarray(image).astype(np.int64)
        if values.min() < 0 or values.max() > 65535:
            raise ValueError("32-bit pixels; save it with 8 or 16 bits a channel")
        grey = ((values * 255 + 32767) // 65535).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
    return np.array(image if image.mode == "RGB" else image.convert("RGB"))


def _save(path: Path, picture: Image.Image, options: dict[str, int]) -> None:
    # Encoded in memory first: Pillow hides why a write to a file failed.
    try:
        image_format = Image.registered_extensions()[path.suffix.lower()]
        data = io.BytesIO()
        picture.save(data, image_format, **options)
    except (KeyError, OSError) as error:
        raise InputError(f"{path}: cannot write a picture with the suffix {path.suffix!r}: use .png") from error
    write_bytes(path, data.getvalue())
