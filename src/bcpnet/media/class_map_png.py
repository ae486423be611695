"""A class map as a PNG file in memory: index or grey, in C where that was compiled."""

from __future__ import annotations

import io
import struct
import zlib
from ctypes import CDLL

import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from bcpnet import native

MARK = "bcpnet"  # in what is written (PNG: Software, JPEG: comment), so that it can be told from other files

_Bytes = npt.NDArray[np.uint8]


def class_map_png(class_map: _Bytes, palette: _Bytes | None = None) -> bytes:
    """H x W uint8 as a PNG of 8 bits a pixel: with `palette`, 256 x 3 uint8, an index PNG, without a grey one.

    Example:
        >>> import io
        >>> import numpy as np
        >>> from PIL import Image
        >>> from bcpnet.media.class_map_png import class_map_png
        >>> np.asarray(Image.open(io.BytesIO(class_map_png(np.array([[0, 10]], np.uint8))))).tolist()
        [[0, 10]]
    """
    library = native.library()
    if library is not None:
        return _png_in_c(library, class_map, palette)
    mark, data = PngInfo(), io.BytesIO()
    mark.add_text("Software", MARK)
    indexed(class_map, palette).save(data, "PNG", pnginfo=mark, compress_type=zlib.Z_RLE)  # runs are all they have
    return data.getvalue()


def indexed(class_map: _Bytes, palette: _Bytes | None) -> Image.Image:
    """The class map as a Pillow image: with `palette` of mode P, without L."""
    picture = Image.fromarray(class_map)
    if palette is not None:
        picture.putpalette(palette.tobytes())
    return picture


def _png_in_c(library: CDLL, class_map: _Bytes, palette: _Bytes | None) -> bytes:
    """By w3.org/TR/png-3, compressed by runs: a fifth of zlib's time, under twice its bytes."""
    class_map = np.ascontiguousarray(class_map)
    height, width = class_map.shape
    data = np.empty(height * (width + 1) * 9 // 8 + 32, np.uint8)
    length = library.bcpnet_deflate_runs(class_map.ctypes.data, height, width, data.ctypes.data)
    colour_type = 0 if palette is None else 3
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, colour_type, 0, 0, 0)),
        (b"tEXt", b"Software\0" + MARK.encode()),
        *([] if palette is None else [(b"PLTE", palette.tobytes())]),
        (b"IDAT", data[:length].tobytes()),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(content, zlib.crc32(kind)))
        for kind, content in chunks
    )
