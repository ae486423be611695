"""A live source opened by FFmpeg."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import get_args

import av
from av import VideoStream
from av.container import InputContainer

from bcpnet.errors import InputError
from bcpnet.media.live.access_units import Codec
from bcpnet.media.live.address import Address
from bcpnet.media.video.open import bound_decoder, frames_per_second, open_bounded, picture_stream
from bcpnet.storage.damaged import damage, reason

TIMEOUT_S = 10  # for an answer, and between packets
_HINTS = {
    "camera": "is it plugged in, and free?",
    "pipe": "of frames without a container say the pixel format and the size",
}

_SRT = "pass it on with `srt-live-transmit srt://... udp://127.0.0.1:5000`, and open udp://127.0.0.1:5000"
_CODECS: tuple[Codec, ...] = get_args(Codec)

# Frames that are in FFmpeg when one comes: its parser sees the end of one where the next begins. MPEG-TS adds the same.
_HELD = {"rtsp": 1, "mpegts": 2}


@dataclass(frozen=True, eq=False)
class Connection:
    """What frames come through.

    Attributes:
        container, stream: of PyAV, open.
        is_live: whether it goes on without waiting for anybody, and has no end of its own.
        is_paced: whether seconds of it come at once, as in HLS, to be shown one frame after the other.
        fps: frames a second, as far as it says.
        parts_of: the codec of which `container` gives the parts of frames as they come; None = it gives whole frames.
        held: how many frames are held back, each until the next ones come.
    """

    container: InputContainer = field(repr=False)  # PyAV's shows the address
    stream: VideoStream = field(repr=False)
    is_live: bool
    is_paced: bool
    fps: Fraction
    parts_of: Codec | None
    held: int


def connect(address: Address) -> Connection:
    """Opens a source, which takes up to some ten seconds.

    Raises:
        InputError: it does not answer, or has no pictures that this FFmpeg decodes. The message has no credentials,
            and neither has what it came from.
    """
    try:
        container = _opened(address, address.options)
        in_parts = address.options.get("fflags") == "noparse"
        if in_parts and not _is_put_together_here(container):
            container.close()
            in_parts = False
            container = _opened(address, {name: of for name, of in address.options.items() if name != "fflags"})
    except damage("av") as error:
        why = told(error)
        if isinstance(error, av.error.ProtocolNotFoundError):
            why = "this FFmpeg does not have that protocol, or what is there asks for one that is not allowed"
            if address.target.startswith("srt:"):
                why = f"this FFmpeg has no SRT: {_SRT}"
    else:
        is_playlist_fine = {"hls"} if address.kind == "web" else ()
        bound_decoder(container, address.name, playlists=is_playlist_fine)
        is_hls = container.format.name == "hls"
        has_end = address.kind == "pipe" or (address.kind == "web" and _has_end(container))
        stream = picture_stream(container)
        if not has_end:
            stream.codec_context.thread_type = "SLICE"  # threads for whole frames would keep each for some frames' time
        return Connection(
            container,
            stream,
            not has_end,
            is_hls and not has_end,
            frames_per_second(stream),
            parts_of=next(codec for codec in _CODECS if codec == stream.codec_context.name) if in_parts else None,
            held=0 if in_parts else _HELD.get(container.format.name, 0),
        )
    # Outside of the except clause: PyAV's error holds the address with its password.
    hint = f"; {_HINTS[address.kind]}" if address.kind in _HINTS else ""
    raise InputError(f"{address.name}: cannot be opened ({why}{hint})")


def told(error: BaseException) -> str:
    """What went wrong, without the address."""
    if isinstance(error, av.error.ExitError):
        return f"nothing came for {TIMEOUT_S} s"
    if isinstance(error, (av.FFmpegError, OSError)):
        return str(error.strerror or type(error).__name__)
    return reason(error)


def _opened(address: Address, options: Mapping[str, str]) -> InputContainer:
    timeout = TIMEOUT_S, TIMEOUT_S
    return open_bounded(address.target, address.protocols, options, format=address.format, timeout=timeout)


def _is_put_together_here(container: InputContainer) -> bool:
    contexts = [stream.codec_context for stream in container.streams.video]
    return all(context is not None and context.name in _CODECS for context in contexts)


def _has_end(container: InputContainer) -> bool:
    return bool(container.duration) or container.format.name.endswith("_pipe")  # a single picture
