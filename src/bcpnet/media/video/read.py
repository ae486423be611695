"""Frames out of video files, each with its time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from av.container import InputContainer
from av.video.reformatter import VideoReformatter

from bcpnet.errors import InputError, UsageError


@dataclass(frozen=True)
class Cut:
    """Which frames of a video to take: every `every`th of those from `start_s` to before `end_s`.

    Attributes:
        start_s: seconds from the video's start.
        end_s: seconds from the video's start; None = to its end.
        every: 1 = every frame, 2 = every second one ...

    Raises:
        UsageError: a start under 0, an end that is not after the start, or fewer than every 1st frame.
    """

    start_s: Fraction | float = 0
    end_s: Fraction | float | None = None
    every: int = 1

    def __post_init__(self) -> None:
        """Checks the values, and takes 1.6 for 1.6, not for the binary number beside it, which lies after 1.6."""
        if self.every < 1:
            raise UsageError(f"every {self.every}: need 1 (every frame) or more")
        if not 0 <= self.start_s < float("inf"):
            raise UsageError(f"start {self.start_s}: need 0 seconds or more")
        if self.end_s is not None and not self.start_s < self.end_s < float("inf"):
            raise UsageError(f"end {float(self.end_s):g} s: need a time after the start, {float(self.start_s):g} s")
        object.__setattr__(self, "start_s", Fraction(self.start_s).limit_denominator(10**6))
        if self.end_s is not None:
            object.__setattr__(self, "end_s", Fraction(self.end_s).limit_denominator(10**6))


ALL = Cut()


@dataclass(frozen=True)
class VideoInfo:
    """What a video file says of itself.

    Attributes:
        fps: frames a second, exact (30000/1001 for "29.97"); the average where the rate varies.
        size_hw: height and width of the frames that `read_video` yields, in pixels.
        frames: number of frames by the length the container states; None where it states none.
        time_base: the unit, in seconds, that the times of its frames are whole multiples of.
    """

    fps: Fraction
    size_hw: tuple[int, int]
    frames: int | None
    time_base: Fraction

    def frames_in(self, cut: Cut) -> int | None:
        """About how many frames `cut` takes; None where the length is unknown."""
        if self.frames is None:
            return None
        end = self.frames if cut.end_s is None else min(self.frames, round(cut.end_s * self.fps))
        return -(-max(0, end - round(cut.start_s * self.fps)) // cut.every)


@dataclass(frozen=True, eq=False)
class VideoFrame:
    """One frame of a video.

    Attributes:
        image: H x W x 3 uint8, RGB, upright.
        index: its number, from 0, counted from the first frame at or after the cut's start.
        time_s: when it is shown, in seconds from the start of the file.
    """

    image: npt.NDArray[np.uint8]
    index: int
    time_s: Fraction


def video_info(path: str | Path) -> VideoInfo:
    """Reads frame rate, size and length; decodes one frame.

    Raises:
        InputError: missing, not a video, no video stream, no frames.
    """
    path = Path(path)
    with open_video(path) as container:
        stream = container.streams.video[0]
        fps = stream.average_rate or stream.guessed_rate or Fraction(25)
        time_base = stream.time_base or 1 / fps
        length = stream.duration * time_base if stream.duration else Fraction(container.duration or 0, av.time_base)
    height, width, _ = next(read_video(path)).shape
    return VideoInfo(fps, (height, width), round(length * fps) or None, time_base)


def read_video(path: str | Path) -> Iterator[npt.NDArray[np.uint8]]:
    """Yields the frames of a video as H x W x 3 uint8, RGB, turned as its rotation metadata says.

    A file that breaks midway yields the frames up to there, then raises.

    Raises:
        InputError: missing, not a video, no video stream, no frames, damaged or cut off.
    """
    return (frame.image for frame in video_frames(path))


def video_frames(path: str | Path, cut: Cut = ALL) -> Iterator[VideoFrame]:
    """Yields the frames of a video that `cut` takes, with their times; otherwise as `read_video`.

    Raises:
        InputError: as `read_video`, or no frame at or after the cut's start.
    """
    path = Path(path)
    reformatter = VideoReformatter()  # kept: a new one for every 1080p frame takes 4 ms, this one 0.6
    count = 0
    with open_video(path) as container:
        try:
            for frame, time_s in _decode_from(container, cut.start_s):
                if cut.end_s is not None and time_s >= cut.end_s:
                    break
                if count % cut.every == 0:
                    image = reformatter.reformat(frame, format="rgb24").to_ndarray().astype(np.uint8, copy=False)
                    # Both count counter-clockwise.
                    yield VideoFrame(np.ascontiguousarray(np.rot90(image, frame.rotation // 90)), count, time_s)
                count += 1
            else:
                if count:
                    _check_end(path, container, frame, count)
        except av.FFmpegError as error:
            raise InputError(f"{path}: damaged or cut off after {count} frames ({error.strerror})") from error
        if count == 0:
            if not cut.start_s:
                raise InputError(f"{path}: a video without frames")
            until = "" if cut.end_s is None else f" and before {float(cut.end_s):g} s"
            length = f"; it is {container.duration / av.time_base:.2f} s long" if container.duration else ""
            raise InputError(f"{path}: no frame from {float(cut.start_s):g} s on{until}{length}")


def _decode_from(container: InputContainer, start_s: Fraction | float) -> Iterator[tuple[av.VideoFrame, Fraction]]:
    """Frames and times, from the first at or after `start_s`."""
    if start_s:
        container.seek(file_start(container) + int(start_s * av.time_base))  # to the key frame before
        frames = _decode(container)
        first = next(frames, None)
        if first is not None and first[0].pts is not None and first[1] <= start_s:
            if first[1] == start_s:
                yield first
            yield from (frame for frame in frames if frame[1] >= start_s)
            return
        container.seek(file_start(container))  # some formats have no index of their key frames
    yield from (frame for frame in _decode(container) if frame[1] >= start_s)


def _decode(container: InputContainer) -> Iterator[tuple[av.VideoFrame, Fraction]]:
    stream = container.streams.video[0]
    start_s = Fraction(file_start(container), av.time_base)
    step_s = 1 / (stream.average_rate or stream.guessed_rate or Fraction(25))
    time_s = -step_s
    for frame in container.decode(stream):
        # A frame without a time of its own, as some AVIs have, follows the one before.
        if frame.pts is None or frame.time_base is None:
            time_s += step_s
        else:
            time_s = frame.pts * frame.time_base - start_s
        yield frame, time_s


def file_start(container: InputContainer) -> int:
    """The time on the container's clock that counts as 0, in microseconds: what comes before is not shown."""
    return max(0, container.start_time or 0)


def _check_end(path: Path, container: InputContainer, frame: av.VideoFrame, count: int) -> None:
    # FFmpeg takes the end of a cut-off file for the end of the video. The number of frames the container
    # states would not do: a trimmed video (edit list) rightly gives fewer.
    stream = container.streams.video[0]
    stated, fps = stream.duration, stream.average_rate
    if stated and fps and stream.time_base and frame.pts is not None:
        end = frame.pts - (stream.start_time or 0) + (frame.duration or 0)
        missing = (stated - end) * stream.time_base * fps
        if missing > 1.5:
            raise InputError(f"{path}: cut off after {count} frames, some {round(missing)} before its end")


def open_video(path: Path) -> InputContainer:
    """Opens a file that has a video stream. Raises InputError for any other."""
    try:
        # Only this file: a name like "concat:x", or a playlist inside, must not make FFmpeg open others.
        container = av.open(f"file:{path}", metadata_errors="ignore", options={"protocol_whitelist": "file"})
    except av.FFmpegError as error:
        reason = "empty file" if path.is_file() and path.stat().st_size == 0 else error.strerror
        raise InputError(f"{path}: cannot be read as a video ({reason})") from error
    problem = None
    if not container.streams.video:
        problem = "has no video stream"
    elif container.streams.video[0].codec_context is None:  # decoding it crashes PyAV 17
        problem = "its video codec is unknown to this FFmpeg"
    if problem:
        container.close()
        raise InputError(f"{path}: {problem}")
    container.streams.video[0].thread_type = "AUTO"
    return container
