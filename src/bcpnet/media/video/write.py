"""Frames into H.264 in MP4, with their times and the sound of their source."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import cast

import av
import numpy as np
import numpy.typing as npt
from av import VideoStream

from bcpnet.errors import InputError, UsageError
from bcpnet.media.class_map_png import MARK
from bcpnet.media.video.encode import Yuv420, describe_pictures, working_encoder
from bcpnet.media.video.open import open_video
from bcpnet.media.video.sound import Sound, add_sound
from bcpnet.storage.files import atomic_path

_FINEST_UNIT_S = Fraction(1, 240_000)
_LONGEST_UNIT_S = 3600
_OTHER_UNIT_S = Fraction(1, 90_000)  # as in MPEG, where the source's is neither
_MARKED = "comment"  # metadata of the file


class VideoWriter:
    """Writes H.264 in MP4 that browsers play: yuv420p, BT.709, index in front. Use as a context manager.

    The file appears, whole, when the block ends well. KeyboardInterrupt ends it well, too: the file holds the
    frames written until then. When the block raises anything else, or when no frame was written, there is no file.
    H.264 in yuv420p needs even sides; an odd frame gets its last row or column twice.

    Attributes:
        frames: how many are written.
        is_written: whether the file is there, whole.
        lost_sound: why sound that was to be copied is missing or has gaps: the source's is damaged; else None.

    Args:
        path: where to; the suffix should be .mp4.
        size_hw: height and width of every frame, in pixels.
        fps: frames a second; a Fraction is kept exactly. Where frames are written with times, about how many.
        time_base: the unit of those times, in seconds; by default that of frames at even distances, 1 / fps. Times in a
            unit that MP4 cannot count in, under 1/240000 s or over an hour, are rounded to 1/90000 s.
        pixel_aspect: width of a pixel as it is shown, in heights of it.
        sound: whose sound to copy, and which part; streams that MP4 does not take are left out (see `lost_sound`).

    Raises:
        UsageError: a frame rate or size that is not positive, a frame of another size.
        InputError: cannot write there, disk full, no H.264 encoder in this FFmpeg.
    """

    def __init__(
        self,
        path: str | Path,
        size_hw: tuple[int, int],
        fps: Fraction | float,
        *,
        time_base: Fraction | None = None,
        pixel_aspect: Fraction = Fraction(1),
        sound: Sound | None = None,
    ) -> None:
        """Opens nothing yet."""
        self.path = Path(path)
        self.size_hw = size_hw
        self.frames = 0
        self.is_written = False
        self.lost_sound: str | None = None
        if not 0 < fps < float("inf") or min(size_hw) < 1:
            raise UsageError(f"{path}: cannot write a video of {size_hw[1]}x{size_hw[0]} at {fps} frames a second")
        self.fps = Fraction(fps).limit_denominator(65535) or Fraction(fps)
        unit_s = time_base or 1 / self.fps
        is_fit = unit_s.denominator <= 1 / _FINEST_UNIT_S and unit_s <= _LONGEST_UNIT_S
        self._time_base = unit_s if is_fit else _OTHER_UNIT_S
        self._longest_ticks = _longest_ticks(self._time_base)
        self._frame_ticks = min(max(1, round(1 / self.fps / self._time_base)), self._longest_ticks)
        self._pixel_aspect = pixel_aspect
        self._last_tick, self._next_tick = -1, 0
        self._sound = sound

    def __enter__(self) -> VideoWriter:
        """Opens the encoder and the temporary file."""
        encoder, encoder_options = working_encoder(self.size_hw)
        self._to_yuv420 = Yuv420()
        with ExitStack() as stack:
            temporary = self._temporary = stack.enter_context(atomic_path(self.path))
            options = {"movflags": "+faststart"}
            self._container = av.open(f"file:{temporary}", "w", format="mp4", options=options)
            self._container.metadata[_MARKED] = MARK
            stack.callback(self._close)
            stream = self._container.add_stream(encoder, rate=self._encoders_rate(), options=encoder_options)
            self._stream = cast(VideoStream, stream)
            context = self._stream.codec_context
            describe_pictures(context, self.size_hw)
            context.sample_aspect_ratio = self._pixel_aspect
            self._stream.time_base = context.time_base = self._time_base
            self._stack = stack.pop_all()
        # Ctrl-C breaks off what the main thread does, never a frame or a file half written by this one.
        self._thread = ThreadPoolExecutor(1, "encoder")
        return self

    def write(self, image: npt.NDArray[np.uint8], time_s: Fraction | None = None) -> None:
        """Appends one frame.

        Args:
            image: H x W x 3 uint8, RGB, of the size given at the start.
            time_s: when it is shown, in seconds from the start; by default 1 / fps after the frame before. A time
                that is not after the last frame's becomes one unit more than that.

        Raises:
            UsageError: another size, or a time that the video does not take (see `takes`).
            InputError: cannot write there, disk full.
        """
        if time_s is not None and not self.takes(time_s):
            raise UsageError(f"{self.path}: MP4 has no frames as long as the one before {float(time_s):g} s")
        if image.shape != (*self.size_hw, 3):
            raise UsageError(
                f"{self.path}: a frame of shape {image.shape} in a video of {self.size_hw} (height, width)"
            )
        self._thread.submit(self._write, self._to_yuv420(image), time_s).result()

    def takes(self, time_s: Fraction) -> bool:
        """Whether a frame can be shown from that time on: in MP4 the one before can only be shown for so long.

        For a day or more where `time_base` is 1/1000 s or longer, for some hours where it is shorter.
        """
        return round(time_s / self._time_base) - max(0, self._last_tick) <= self._longest_ticks

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finishes the file and gives it its name, or removes it."""
        with self._thread:  # waits for the frame that Ctrl-C came upon, and for the end of the file
            if kind is None or issubclass(kind, KeyboardInterrupt):
                self._thread.submit(self._finish, kind is not None).result()
            else:
                self._drop()

    def _encoders_rate(self) -> Fraction:
        # What the encoder gives the last frame's length by; FFmpeg takes 32 bits above and below the line.
        slowest = 1 / (self._longest_ticks * self._time_base)
        return min(max(self.fps, slowest), 1 / self._time_base).limit_denominator(8000) or slowest

    def _write(self, frame: av.VideoFrame, time_s: Fraction | None) -> None:
        tick = self._next_tick if time_s is None else round(time_s / self._time_base)
        tick = max(tick, self._last_tick + 1)
        frame.pts, frame.time_base = tick, self._time_base
        self._last_tick, self._next_tick = tick, tick + self._frame_ticks
        self._encode(frame)
        self.frames += 1

    def _finish(self, early: bool) -> None:
        if not self.frames:
            self._drop()
            return
        with self._stack:
            self._encode(None)
            self._close()
            if self._sound is not None:
                # Last, so that no damage in the sound can cost the pictures.
                until_s = self._next_tick * self._time_base if early else None
                self.lost_sound = add_sound(self._temporary, self._sound, until_s)
        self.is_written = True

    def _drop(self) -> None:
        # Not the caller's exception: atomic_path would take an OSError of theirs for one of writing.
        with suppress(GeneratorExit), self._stack:
            raise GeneratorExit

    def _encode(self, frame: av.VideoFrame | None) -> None:
        with _write_errors(self.path):
            self._container.mux(self._stream.encode(frame))

    def _close(self) -> None:
        with _write_errors(self.path):
            self._container.close()


def is_marked_video(path: Path) -> bool:
    """Whether `VideoWriter` wrote that file."""
    try:
        with open_video(path) as container:
            return container.metadata.get(_MARKED) == MARK
    except InputError:
        return False


@contextmanager
def _write_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except av.FFmpegError as error:
        raise InputError(f"{path}: cannot write: {error.strerror}") from error


def _longest_ticks(time_base: Fraction) -> int:
    # FFmpeg counts in the unit's denominator, doubled until it is 10,000, and keeps a frame's length in 31 bits.
    units_a_second = time_base.denominator
    while units_a_second < 10_000:
        units_a_second *= 2
    return int((2**31 - 1) / units_a_second / time_base)
