"""`bcpnet.open_source`: frames of any source, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Generator
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bcpnet.errors import InputError, UsageError
from bcpnet.media.live.address import RawPipe, parse_address
from bcpnet.media.live.open import Policy, source_of
from bcpnet.media.live.received import Listed
from bcpnet.media.live.source import Source
from bcpnet.media.sources import BadFrame, MediaItem, find_media, frames
from bcpnet.media.video import video_info


def open_source(
    source: str | int | Path,
    *,
    policy: Policy | None = None,
    duration_s: float | None = None,
    max_frames: int | None = None,
    pipe_format: str | None = None,
    pipe_size: tuple[int, int] | None = None,
    tell: Callable[[str], None] | None = None,
) -> Source:
    """Opens a camera, a stream, a pipe, numbered pictures, or files; gives their frames as they come.

    >>> with bcpnet.open_source("drive.mp4", max_frames=2) as frames:
    ...     for frame in frames:
    ...         print(frame.index, frame.image.shape, float(frame.time_s))
    0 (48, 64, 3) 0.0
    1 (48, 64, 3) 0.04

    Threads of its own receive and decode. A live source (camera, rtsp, rtmp, udp, srt, and http without an end) gives
    the newest frame: those that came while you worked on the last one are dropped and counted, so that you never lag
    behind. Its connection is made again when it is lost, after pauses that grow from half a second to eight. All else
    gives every frame, and ends.

    Playlists on the web (HLS) may name web addresses; nothing else is opened but what you name.

    Args:
        source: a camera by its number (0) or device ("/dev/video0"; "camera:NAME" on Windows and macOS); a URL that
            starts with rtsp, rtmp, http, https, udp, or srt where FFmpeg has it; "-" for what comes through standard
            input; "frame_%06d.png" for numbered pictures, at 25 frames/s; or the path of a video or an image, a folder
            or a glob.
        policy: "every" frame, or the "newest"; by default as above.
        duration_s: seconds after which it ends.
        max_frames: frames after which it ends.
        pipe_format: of frames that come through "-" without a container, as FFmpeg calls it: "rgb24", "gray" ...
        pipe_size: height and width of those, in pixels.
        tell: called, from another thread, with a line when a connection is lost and when it is there again; by default
            a warning.

    Returns:
        An iterator over frames, which have `image` (H x W x 3 uint8, RGB), `index`, `time_s`, `captured_s`,
        `dropped` and `age_ms()`. It counts `frames` and `dropped`. Close it, or use it in a `with` block; `stop()` ends
        it from any thread.

    Raises:
        InputError: nothing is there, or it has no pictures; while frames are taken: a file cannot be read, or what
            comes through a pipe breaks off.
        UsageError: an address, a policy or a number that bcpnet does not take.
    """
    if (pipe_format is None) != (pipe_size is None):
        raise UsageError("frames without a container need both: pipe_format and pipe_size")
    raw = None if pipe_format is None or pipe_size is None else RawPipe(pipe_format, pipe_size)
    address = parse_address(source, raw)
    if address is not None:
        return source_of(address, policy, duration_s, max_frames, tell).open()
    if policy == "newest":
        raise UsageError(f"{source}: files wait for who takes their frames: 'every' is their only policy")
    items = find_media([str(source)])
    fps = video_info(items[0].path).fps if items[0].is_video else Fraction(25)
    return Source(str(source), Listed(_of_files(items), fps), duration_s, max_frames)


def _of_files(items: list[MediaItem]) -> Generator[tuple[npt.NDArray[np.uint8], Fraction], None, None]:
    for frame in frames(items):
        if isinstance(frame, BadFrame):
            raise InputError(str(frame.error))
        yield frame.image, frame.time_s
