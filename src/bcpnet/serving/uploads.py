"""The images in the body of a request: one as it is, or many as multipart/form-data; decoded within the bounds."""

from __future__ import annotations

import re

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

_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")  # of a JPEG; the others are parts of a scan
_START_OF_SCAN, _END_OF_IMAGE, _WITHOUT_LENGTH = 0xDA, 0xD9, 0x01
_MOST_SCANS = 100  # progressive JPEGs have some ten


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
    if file.startswith(b"\xff\xd8") and _scans(file) > _MOST_SCANS:
        raise RefusedError(422, f"image: a JPEG of more than {_MOST_SCANS} scans: save it anew")
    try:
        return read_image_bytes(file, "image", bounds.megapixels * 10**6, bounds.side, FORMATS)
    except TooLargeError as error:
        raise RefusedError(413, str(error)) from error
    except InputError as error:
        raise RefusedError(422, str(error)) from error


def _scans(jpeg: bytes) -> int:
    """Of its first picture, up to _MOST_SCANS + 1. Each may be a few bytes, and takes as long as all pixels do."""
    count, at = 0, 2
    while count <= _MOST_SCANS and (marker := _MARKER.search(jpeg, at)) is not None:
        at = marker.end()
        code = jpeg[at - 1]
        if code == _END_OF_IMAGE:
            break
        count += code == _START_OF_SCAN
        if code != _WITHOUT_LENGTH:
            at += int.from_bytes(jpeg[at : at + 2], "big")
    return count


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
