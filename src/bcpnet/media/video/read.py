"""Frames out of video files, each with its time, and what the files say of themselves."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

from bcpnet.errors import InputError, UsageError
from bcpnet.media.video.decode import Decoder
from bcpnet.media.video.open import as_fraction, frames_per_second
from bcpnet.media.video.upright import upright_of

_ODDEST_ASPECT = 64  # of pixels; what is beyond it is damage


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
        pixel_aspect: width of a pixel as it is shown, in heights of it.
    """

    fps: Fraction
    size_hw: tuple[int, int]
    frames: int | None
    time_base: Fraction
    pixel_aspect: Fraction = Fraction(1)

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
    with Decoder(path, threads=1) as decoder:
        frame, _ = next(decoder.frames(), (None, None))
        if frame is None:
            decoder.raise_if_damaged(0, whole=True)
            raise InputError(f"{path}: a video without frames")
        size_hw, aspect = (frame.height, frame.width), as_fraction(decoder.stream.sample_aspect_ratio)
        if aspect is None or not 1 / _ODDEST_ASPECT <= aspect <= _ODDEST_ASPECT:
            aspect = Fraction(1)
        if upright_of(frame).transposed:
            size_hw, aspect = size_hw[::-1], 1 / aspect
        stream, duration = decoder.stream, decoder.container.duration or 0
        fps = decoder.measured_rate() if not stream.average_rate else frames_per_second(stream)
        time_base = as_fraction(stream.time_base) or 1 / fps
        length = stream.duration * time_base if stream.duration else Fraction(duration, av.time_base)
    return VideoInfo(fps, size_hw, max(0, round(length * fps)) or None, time_base, aspect)


def read_video(path: str | Path) -> Iterator[npt.NDArray[np.uint8]]:
    """Yields the frames of a video as H x W x 3 uint8, RGB, turned and mirrored as its display matrix says.

    A damaged file yields every frame that can be decoded, then raises.

    Raises:
        InputError: missing, not a video, no video stream, no frames, damaged or cut off.
    """
    return (frame.image for frame in video_frames(path))


class EmptyCutError(InputError):
    """A good video has no frame in that part of it."""


def video_frames(path: str | Path, cut: Cut = ALL) -> Generator[VideoFrame, None, None]:
    """Yields the frames of a video that `cut` takes, with their times; otherwise as `read_video`.

    Raises:
        InputError: as `read_video`.
        EmptyCutError: no frame at or after the cut's start.
    """
    count = 0
    with Decoder(Path(path)) as decoder:
        whole = True
        for frame, time_s in decoder.frames(cut.start_s):
            if cut.end_s is not None and time_s >= cut.end_s:
                whole = False
                break
            if count % cut.every == 0:
                image = decoder.image(frame)
                if image is None:
                    continue
                yield VideoFrame(image, count, time_s)
            count += 1
        decoder.raise_if_damaged(count, whole)
        if count == 0:
            if not cut.start_s:
                raise InputError(f"{path}: a video without frames")
            until = "" if cut.end_s is None else f" and before {float(cut.end_s):g} s"
            duration = decoder.container.duration
            length = f"; it is {duration / av.time_base:.2f} s long" if duration else ""
            raise EmptyCutError(f"{path}: no frame from {float(cut.start_s):g} s on{until}{length}")
