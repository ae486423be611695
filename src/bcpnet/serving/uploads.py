"""The images in the body of a request: one as it is, or many as multipart/form-data; decoded within the bounds."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header

from bcpnet.errors import InputError
from bcpnet.media.images import TooLargeError, read_image_bytes
from bcpnet.serving.bounds import Bounds, RefusedError

Frame = npt.NDArray[np.uint8]

# Pillow's names. Its other decoders are not reached from outside; libtiff, for one, prints on standard error.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "PPM", "AVIF")

_LONGEST_BOUNDARY = 200


def image_files(body: bytes, content_type: str, bounds: Bounds) -> list[bytes]:
    """The image files in a body: its parts, if it is multipart/form-data, else the body itself.

    Raises:
        RefusedError: 400, the multipart makes no sense, or nothing is in it; 413, too many parts.
    """
    kind, options = parse_options_header(content_type)
    files = _parts(body, options.get("boundary", ""), bounds.images) if kind == "multipart/form-data" else [body]
    if not any(files):
        raise RefusedError(400, "no image: send an image file as the body, or several as multipart/form-data")
    return files


def decode(file: bytes, bounds: Bounds) -> Frame:
    """H x W x 3 uint8, RGB, upright.

    Raises:
        RefusedError: 413 for too many pixels, which is told before decoding, 422 for what is no image that can be read.
    """
    try:
        return read_image_bytes(file, "image", bounds.megapixels * 10**6, bounds.side, FORMATS)
    except TooLargeError as error:
        raise RefusedError(413, str(error)) from error
    except InputError as error:
        raise RefusedError(422, str(error)) from error


def _parts(body: bytes, boundary: str, most: int) -> list[bytes]:
    if not 0 < len(boundary) <= _LONGEST_BOUNDARY:
        raise RefusedError(400, "multipart/form-data without a boundary")
    files: list[bytearray] = []
    try:
        with PushMultipartParser(boundary, len(body), strict=True) as parser:
            for event in parser.parse(body):
                if isinstance(event, MultipartSegment):
                    if len(files) == most:
                        raise RefusedError(413, f"more than {most} images in a request")
                    files.append(bytearray())
                elif event:
                    files[-1] += event
    except (MultipartError, UnicodeError, ValueError) as error:
        raise RefusedError(400, "the multipart/form-data cannot be read") from error
    return [bytes(file) for file in files]
