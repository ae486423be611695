"""Image files: any picture in as RGB, pictures and class maps out."""

from __future__ import annotations

import io
import logging
import stat
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageFile, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo
from PIL.TiffImagePlugin import TiffImageFile

from bcpnet.errors import InputError
from bcpnet.media.class_map_png import MARK, class_map_png, indexed
from bcpnet.storage.damaged import damage, damage_told, reason
from bcpnet.storage.files import write_bytes

MOST_PIXELS = 178_956_970  # of one picture: Pillow's own guard against decompression bombs, whatever it is set to

logging.getLogger("PIL").addHandler(logging.NullHandler())  # what it logs would be printed; errors are raised as well

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
        path = Path(path)
        image = _opened(path, _from_pipe(path) if path.is_fifo() else None)
        values, orientation = _stored(path, image, values_of, why_not)
    return upright(values, orientation)


def read_image_bytes(data: bytes, name: str, most_pixels: int, longest_side: int, formats: tuple[str, ...]) -> Bytes:
    """As `read_image`, of a file that is in memory, from somebody who need not be trusted.

    Args:
        data: the file.
        name: what errors call it.
        most_pixels: of the picture, at most MOST_PIXELS; told before decoding.
        longest_side: of the picture, in pixels; told before decoding.
        formats: Pillow's names of those that are read.

    Raises:
        TooLargeError: it has more pixels, or a longer side.
        InputError: as `read_image`.
    """
    with damage_told(name, "PIL", "damaged or unsupported image"):
        path = Path(name)
        Image.init()
        known = tuple(name for name in formats if name in Image.OPEN)  # not all are built into every Pillow
        image = _opened(path, io.BytesIO(data), most_pixels, known)
        if max(image.size) > longest_side:
            image.close()
            raise TooLargeError(f"{name}: {image.width}x{image.height} pixels: sides end at {longest_side}")
        values, orientation = _stored(path, image, _rgb, _why_not_rgb)
    return upright(values, orientation)


class TooLargeError(InputError):
    """A picture of more pixels, or of a longer side, than are read."""


def read_header(path: Path) -> tuple[tuple[int, int], int]:
    """Width and height of a picture, upright, and the EXIF orientation it is stored in (1: upright); decodes nothing.

    Raises:
        InputError: as `read_image`, as far as a file's first bytes tell.
    """
    with damage_told(path, "PIL", "damaged or unsupported image"), _opened(path) as image:
        image.getexif = partial(Image.Image.getexif, image)  # type: ignore[method-assign]  # a PNG's decodes it
        orientation = orientation_of(image)
        size = image.size
        if isinstance(image, TiffImageFile):  # some versions of Pillow have turned that already
            size = image.tag_v2[ExifTags.Base.ImageWidth], image.tag_v2[ExifTags.Base.ImageLength]
        return (size[::-1] if orientation >= _ROTATED else size), orientation


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
    path = Path(path)
    if path.suffix.lower() == ".png":
        write_bytes(path, class_map_png(class_map, palette))
    else:
        _save(path, indexed(class_map, palette), {})


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


def upright(stored: Bytes, orientation: int) -> Bytes:
    """A picture stored in one of EXIF's orientations, turned."""
    return stored if orientation == 1 else np.ascontiguousarray(_UPRIGHT[orientation](stored))


def _stored(
    path: Path,
    opened: ImageFile.ImageFile,
    values_of: Callable[[Image.Image], Bytes],
    why_not: Callable[[ImageFile.ImageFile], str | None],
) -> tuple[Bytes, int]:
    """The values as they lie in the file, and their orientation."""
    with opened as image:
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
        return values, orientation_of(image)


def _from_pipe(path: Path) -> io.BytesIO:
    """All that comes through a named pipe, which waits for its writer: Pillow must go back and forth in a file."""
    with path.open("rb") as pipe:
        content = pipe.read(_MOST_PIPED + 1)
    if len(content) > _MOST_PIPED:
        raise InputError(f"{path}: more than {_MOST_PIPED // 2**20} MiB came through the pipe")
    return io.BytesIO(content)


def _opened(
    path: Path, content: io.BytesIO | None = None, most: int = MOST_PIXELS, formats: tuple[str, ...] | None = None
) -> ImageFile.ImageFile:
    """The picture before decoding, of a file or of `content`. Raises InputError, or what Pillow raises."""
    empty = False
    if content is None:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for its writer
            kind = "Is a directory" if stat.S_ISDIR(status.st_mode) else "Not a regular file"
            raise InputError(f"{path}: cannot read: {kind}")
        empty = status.st_size == 0
    most = min(most, MOST_PIXELS, 2 * (Image.MAX_IMAGE_PIXELS or MOST_PIXELS))
    too_large = f"too large, more than {most // 10**6} megapixels: scale it down or cut it up"
    try:
        image = Image.open(content or path, formats=formats)
    except Image.DecompressionBombError as error:
        raise TooLargeError(f"{path}: {too_large}") from error
    except UnidentifiedImageError as error:
        reason = "an empty file" if empty else "not an image of a known format, or damaged: convert it to PNG or JPEG"
        raise InputError(f"{path}: {reason}") from error
    if image.width * image.height > most:
        image.close()
        raise TooLargeError(f"{path}: {image.width}x{image.height} pixels are {too_large}")
    if isinstance(image, TiffImageFile):
        image.filename = ""  # else Pillow maps the file, and takes width for height where it is stored on its side
    if image.format == "EPS":  # Pillow would run Ghostscript, a program in a file, of any duration
        image.close()
        raise InputError(f"{path}: PostScript is a drawing, not pixels: convert it to PNG")
    return image


def orientation_of(image: Image.Image) -> int:
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
