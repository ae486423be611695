"""Video files opened, with what FFmpeg may do there bounded; whether a file is a video."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av import VideoStream
from av.container import InputContainer
from av.stream import Disposition

from bcpnet.errors import InputError
from bcpnet.media.images import MOST_PIXELS
from bcpnet.storage.damaged import damage, reason

_BOUNDS = {"max_pixels": str(MOST_PIXELS)}  # of a frame, whatever a damaged header says

_PYAV = int(av.__version__.split(".")[0])
_OPTIONS: dict[str, Any] = {
    # For the decoders that look what is inside. PyAV 17.0 with them frees memory that is not its own.
    **({"options": _BOUNDS} if _PYAV >= 18 else {}),
    # Until PyAV 18 metadata that are not UTF-8 are errors by default; from 19 on there is no such option.
    **({"metadata_errors": "ignore"} if _PYAV <= 18 else {}),
}

# FFmpeg takes for these what has no sign of being anything else, and single pictures ("png_pipe").
_PLAYLISTS = {"concat", "dash", "hls", "imf"}  # which name other files
# With "mjpeg" FFmpeg finds JPEGs in a PDF, among others; a file that is one JPEG after the other begins with the first.
_NO_VIDEOS = ("_pipe", "cdg", "image2", "mjpeg", "tty")
# Seen by the start of a file, in a hundredth of the time that FFmpeg takes: folders may hold many.
_LOOKED_AT = 1024  # bytes
_PICTURES = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"BM", b"II*\0", b"MM\0*")
_PICTURES_IN_BOXES = (b"ftypavif", b"ftypheic", b"ftypheix", b"ftypmif1")  # which FFmpeg takes for films of their parts


def open_video(path: Path) -> InputContainer:
    """Opens a file that has moving pictures, which `picture_stream` returns. Raises InputError for any other."""
    if path.exists() and not (path.is_file() or path.is_dir()):  # opening a pipe would wait for its writer, for ever
        raise InputError(f"{path}: cannot be read as a video (not a regular file)")
    try:
        # A name like "concat:x", or a link inside, must not make FFmpeg open what is no file.
        container = open_bounded(f"file:{path}", "file")
    except damage("av") as error:
        why = "empty file" if path.is_file() and path.stat().st_size == 0 else reason(error)
        raise InputError(f"{path}: cannot be read as a video ({why})") from error
    bound_decoder(container, str(path))
    return container


def open_bounded(target: str, protocols: str, options: Mapping[str, str] | None = None, **more: Any) -> InputContainer:
    """Opens what FFmpeg can, by these protocols only. Raises what PyAV raises.

    Args:
        target: as FFmpeg takes it.
        protocols: those that FFmpeg may use, whatever is named inside; with commas.
        options: of FFmpeg's demuxer and protocols.
        more: for `av.open`.
    """
    whitelist = {"protocol_whitelist": protocols} if protocols else {}
    container = av.open(target, **_OPTIONS, container_options={**whitelist, **(options or {})}, **more)
    assert isinstance(container, InputContainer)
    return container


def bound_decoder(container: InputContainer, name: str, *, playlists: Collection[str] = ()) -> None:
    """Checks that there are moving pictures, and bounds what decoding them may take.

    Args:
        container: is closed where it has none.
        name: for the message.
        playlists: formats that name other files and are allowed all the same.

    Raises:
        InputError: a playlist, no pictures, or pictures that this FFmpeg cannot decode or that are too large.
    """
    problem = _problem(container, playlists)
    if problem:
        container.close()
        raise InputError(f"{name}: {problem}")
    context = picture_stream(container).codec_context
    context.options = dict(_BOUNDS)
    context.thread_type = "AUTO"


def is_video(path: Path) -> bool:
    """Whether there are moving pictures in the file, by what is in it and not by its name. GIFs count as pictures."""
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            start = file.read(_LOOKED_AT)
        if _is_text(start) or start.startswith(_PICTURES) or start[4:12] in _PICTURES_IN_BOXES:
            return False
        with open_video(path) as container:
            has_size = picture_stream(container).codec_context.width > 0
            return has_size and not container.format.name.endswith(_NO_VIDEOS)
    except (InputError, OSError, ValueError):  # ValueError: a NUL in the name
        return False


def picture_stream(container: InputContainer) -> VideoStream:
    """The first video stream that is not the cover picture of a piece of music or of a film."""
    return next(stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic)


def frames_per_second(stream: VideoStream) -> Fraction:
    """As the file states it; the average where the rate varies, and 25 where the file does not say."""
    return as_fraction(stream.average_rate) or as_fraction(stream.guessed_rate) or Fraction(25)


def file_start(container: InputContainer) -> int:
    """The time on the container's clock that counts as 0, in microseconds: what comes before is not shown."""
    return max(0, container.start_time or 0)


def as_fraction(rational: Any) -> Fraction | None:
    """A ratio as PyAV gives it, which until 18 is a Fraction and from 19 on a class of its own; None for 0 and x/0."""
    return Fraction(rational.numerator, rational.denominator) if rational else None


def _problem(container: InputContainer, playlists: Collection[str]) -> str | None:
    if not _PLAYLISTS.difference(playlists).isdisjoint(container.format.name.split(",")):
        return "a playlist, not a video: name the files that it names"
    try:
        context = picture_stream(container).codec_context
    except StopIteration:
        return "has no video stream"
    if context is None:  # decoding it crashes PyAV 17
        return "its video codec is unknown to this FFmpeg"
    if context.width * context.height > MOST_PIXELS:
        return f"frames of more than {MOST_PIXELS // 10**6} megapixels"
    return None


def _is_text(start: bytes) -> bool:
    try:
        text = start.decode()
    except UnicodeDecodeError as error:
        if error.start < len(start) - 3:  # not just a letter cut off at the end
            return False
        text = start[: error.start].decode()
    return all(letter.isprintable() or letter.isspace() for letter in text)
