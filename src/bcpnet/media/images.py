"""Image files: any picture in as RGB, pictures and class maps out."""

from __future__ import annotations

import io
import stat
import struct
import zlib
from collections.abc import Callable
from ctypes import CDLL
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageFile, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

from bcpnet import native
from bcpnet.errors import InputError
from bcpnet.storage.damaged import damage, damage_told, reason
from bcpnet.storage.files import write_bytes

MARK = "bcpnet"  # in what is written (PNG: Software, JPEG: comment), so that it can be told from other files
MOST_PIXELS = 178_956_970  # of one picture: Pillow's own guard against decompression bombs, whatever it is set to

_ROTATED = 5  # EXIF orientations from here on swap width and height
_LONGEST_JPEG_SIDE = 65_500
_MOST_PIPED = 1 << 28  # bytes of a picture that comes through a named pipe
_STRIP_PIXELS = 1 << 21  # converted at a time, so that conversions of large pictures need little memory
_SAVE_AS = "save it with 8 or 16 bits a channel, from 0 for black upward"

Bytes = npt.NDArray[np.uint8]


def read_image(path: str | Path) -> Bytes:
    """Reads any image that Pillow reads as H x W x 3 uint8, RGB, upright (EXIF orientation applied).

    Grey is repeated to three channels; 16-bit grey is scaled to 8 bits (value / 257, rounded), of 16-bit colours the
    upper 8 bits are taken; transparency is dropped and the colours under it kept, as cv2.imread does; of an animation
    or a stack, the first picture. EXIF data that make no sense are passed over. It takes some 7 bytes of memory a pixel
    and what the file's decoder needs.

    Raises:
        InputError: missing, a folder, empty, damaged or truncated, not an image, PostScript, of pixels that are
            floating-point, signed or of other than 1, 2, 4, 8 or 16 bits, or of more than 179 megapixels
            (`MOST_PIXELS`), which is told before decoding.
    """
    return decode(path, _rgb, _why_not_rgb)


def decode(
    path: str | Path, values_of: Callable[[Image.Image], Bytes], why_not: Callable[[ImageFile.ImageFile], str | None]
) -> Bytes:
    """What `values_of` makes of the pixels of an image file, upright (EXIF orientation applied).

    Images and label files are both read by this, so that they are turned alike.

    Args:
        path: the file.
        values_of: is called with strips of the decoded picture, from the top to the bottom; returns h x w or
            h x w x 3 uint8 for each.
        why_not: is called with the picture before it is decoded; returns what is wrong with it, or None.

    Raises:
        InputError: as `read_image`, but for the kinds of pixels, on which `why_not` decides.
    """
    with damage_told(path, "PIL", "damaged or unsupported image"):
        values, orientation = _stored(Path(path), values_of, why_not)
    return values if orientation == 1 else np.ascontiguousarray(_UPRIGHT[orientation](values))


def read_header(path: Path) -> tuple[tuple[int, int], int]:
    """Width and height of a picture, upright, and the EXIF orientation it is stored in (1: upright); decodes nothing.

    Raises:
        InputError: as `read_image`, as far as a file's first bytes tell.
    """
    with damage_told(path, "PIL", "damaged or unsupported image"), _opened(path) as image:
        image.getexif = partial(Image.Image.getexif, image)  # type: ignore[method-assign]  # a PNG's decodes it
        orientation = _orientation(image)
        return (image.size[::-1] if orientation >= _ROTATED else image.size), orientation


def is_marked_picture(path: Path) -> bool:
    """Whether `save_image` or `save_class_map` wrote that file, a PNG or JPEG."""
    try:
        with damage_told(path, "PIL", "not a picture"), _opened(path) as image:
            return image.info.get("Software") == MARK or image.info.get("comment") == MARK.encode()
    except InputError:
        return False


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
        (b"tEXt", b"Software\0" + MARK.encode()),
        *([] if palette is None else [(b"PLTE", palette.tobytes())]),
        (b"IDAT", data[:length].tobytes()),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(content, zlib.crc32(kind)))
        for kind, content in chunks
    )


# What turns a stored picture upright, by EXIF's definition of each orientation; 1 is upright.
_UPRIGHT: dict[int, Callable[[Bytes], Bytes]] = {
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.swapaxes(0, 1),
    6: lambda stored: stored[::-1].swapaxes(0, 1),
    7: lambda stored: stored[::-1, ::-1].swapaxes(0, 1),
    8: lambda stored: stored.swapaxes(0, 1)[::-1],
}


def _stored(
    path: Path, values_of: Callable[[Image.Image], Bytes], why_not: Callable[[ImageFile.ImageFile], str | None]
) -> tuple[Bytes, int]:
    """The values as they lie in the file, and their orientation."""
    with _opened(path, _from_pipe(path) if path.is_fifo() else None) as image:
        refusal = why_not(image)
        if refusal:
            raise InputError(f"{path}: {refusal}")
        if not isinstance(image.info.get("xmp", b""), bytes):
            del image.info["xmp"]  # makes no sense to Pillow, which looks for an orientation in it as it loads a TIFF
        image.load()
        height, rows = image.height, max(1, _STRIP_PIXELS // image.width)
        for top in range(0, height, rows):
            bottom = min(top + rows, height)
            strip = values_of(image if rows >= height else image.crop((0, top, image.width, bottom)))
            if top == 0:
                values = np.empty((height, *strip.shape[1:]), np.uint8)
            values[top:bottom] = strip
        return values, _orientation(image)


def _from_pipe(path: Path) -> io.BytesIO:
    """All that comes through a named pipe, which waits for its writer: Pillow must go back and forth in a file."""
    with path.open("rb") as pipe:
        content = pipe.read(_MOST_PIPED + 1)
    if len(content) > _MOST_PIPED:
        raise InputError(f"{path}: more than {_MOST_PIPED // 2**20} MiB came through the pipe")
    return io.BytesIO(content)


def _opened(path: Path, content: io.BytesIO | None = None) -> ImageFile.ImageFile:
    """The picture before decoding, of a file or of `content`. Raises InputError, or what Pillow raises."""
    status = path.stat()
    if content is None and not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for its writer
        kind = "Is a directory" if stat.S_ISDIR(status.st_mode) else "Not a regular file"
        raise InputError(f"{path}: cannot read: {kind}")
    most = min(MOST_PIXELS, 2 * (Image.MAX_IMAGE_PIXELS or MOST_PIXELS))
    too_large = f"too large, more than {most // 10**6} megapixels: scale it down or cut it up"
    try:
        image = Image.open(content or path)
    except Image.DecompressionBombError as error:
        raise InputError(f"{path}: {too_large}") from error
    except UnidentifiedImageError as error:
        empty = content is None and status.st_size == 0
        reason = "an empty file" if empty else "not an image of a known format, or damaged"
        raise InputError(f"{path}: {reason}") from error
    if image.width * image.height > most:
        image.close()
        raise InputError(f"{path}: {image.width}x{image.height} pixels are {too_large}")
    if image.format == "EPS":  # Pillow would run Ghostscript, a program in a file, of any duration
        image.close()
        raise InputError(f"{path}: PostScript is a drawing, not pixels: convert it to PNG")
    return image


def _orientation(image: Image.Image) -> int:
    """EXIF's 1 to 8; 1 where it makes no sense, because the pixels may be good all the same."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except damage("PIL"):
        return 1
    return orientation if isinstance(orientation, int) and orientation in _UPRIGHT else 1


def _why_not_rgb(image: ImageFile.ImageFile) -> str | None:
    if image.mode == "F":
        return f"floating-point pixels: {_SAVE_AS}"
    tags = getattr(image, "tag_v2", {})  # a TIFF's: of these pixels Pillow hands out other values than they mean
    signed = 2 in np.ravel(tags.get(ExifTags.Base.SampleFormat, 1))
    if signed or (image.mode == "I" and image.format != "PPM"):  # whose 16 bits Pillow keeps in 32
        return f"32-bit or signed pixels: {_SAVE_AS}"
    if image.mode.startswith("I;16") and tags:
        if tags.get(ExifTags.Base.BitsPerSample) not in (16, (16,)):
            return f"neither 8 nor 16 bits a pixel: {_SAVE_AS}"
        if tags.get(ExifTags.Base.PhotometricInterpretation) == 0:
            return f"16-bit pixels of which 0 is white: {_SAVE_AS}"
    return None


def _rgb(image: Image.Image) -> Bytes:
    if image.mode.startswith("I"):  # 16-bit grey is "I;16..." or, from a PGM, "I"
        values = np.asarray(image).astype(np.uint32)
        grey = ((values * 255 + 32767) // 65535).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))


def _save(path: Path, picture: Image.Image, options: dict[str, int]) -> None:
    # Encoded in memory first: Pillow hides why a write to a file failed.
    image_format = Image.registered_extensions().get(path.suffix.lower())
    if image_format is None:
        raise InputError(f"{path}: cannot write a picture with the suffix {path.suffix!r}: use .png")
    size = f"{picture.width}x{picture.height} pixels"
    if image_format == "JPEG" and max(picture.size) > _LONGEST_JPEG_SIDE:  # its library would print a line of its own
        raise InputError(
            f"{path}: cannot write {size} as JPEG, whose sides end at {_LONGEST_JPEG_SIDE}: PNG takes them"
        )
    mark = PngInfo()
    mark.add_text("Software", MARK)
    data = io.BytesIO()
    try:
        picture.save(data, image_format, pnginfo=mark, comment=MARK.encode(), **options)
    except (KeyError, OSError, ValueError) as error:  # no encoder here; pixels or a size that the format has not
        raise InputError(f"{path}: cannot write {size} as {image_format} ({reason(error)}): PNG takes them") from error
    write_bytes(path, data.getvalue())
