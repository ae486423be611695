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
from av import VideoCodecContext, VideoStream
from av.packet import Packet
from av.stream import Stream
from av.video.reformatter import Colorspace, Interpolation, VideoReformatter

from bcpnet.errors import InputError, UsageError
from bcpnet.media.video.read import open_video
from bcpnet.media.video.sound import Sound, copied_packets
from bcpnet.storage.files import atomic_path

# H.264 encoders with their options, best first; the first that opens on this machine is used. PyAV's wheels
# have libx264; an FFmpeg of a distribution may have only one of the others. Preset ultrafast takes 23 ms for
# a 1080p overlay on two cores where veryfast takes 37, at equal PSNR (37.7 dB at crf 20, 16 KB a frame).
ENCODERS: dict[str, dict[str, str]] = {
    "libx264": {"preset": "ultrafast", "crf": "20"},
    "libopenh264": {},
    "h264_videotoolbox": {},
    "h264_nvenc": {},
    "h264_amf": {},
    "h264_v4l2m2m": {},
}
_BT709 = 1  # matrix, primaries and transfer alike (ITU-T H.273, tables 2 to 4)
_LIMITED_RANGE = 1


class VideoWriter:
    """Writes H.264 in MP4 that browsers play: yuv420p, BT.709, index in front. Use as a context manager.

    The file appears, whole, when the block ends well. KeyboardInterrupt ends it well, too: the file holds the
    frames written until then. When the block raises anything else, or when no frame was written, there is no file.
    H.264 in yuv420p needs even sides; an odd frame gets its last row or column twice.

    Attributes:
        frames: how many are written.
        is_written: whether the file is there, whole.

    Args:
        path: where to; the suffix should be .mp4.
        size_hw: height and width of every frame, in pixels.
        fps: frames a second; a Fraction is kept exactly. Where frames are written with times, about how many.
        time_base: the unit of those times, in seconds; by default that of frames at even distances, 1 / fps.
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
        sound: Sound | None = None,
    ) -> None:
        """Opens nothing yet."""
        self.path = Path(path)
        self.size_hw = size_hw
        self.fps = Fraction(fps).limit_denominator(65535)
        self.frames = 0
        self.is_written = False
        if self.fps <= 0 or min(size_hw) < 1:
            raise UsageError(f"{path}: cannot write a video of {size_hw[1]}x{size_hw[0]} at {fps} frames a second")
        self._time_base = time_base or 1 / self.fps
        self._frame_ticks = max(1, round(1 / self.fps / self._time_base))
        self._last_tick, self._next_tick = -1, 0
        self._sound = sound

    def __enter__(self) -> VideoWriter:
        """Opens the encoder and the temporary file."""
        height, width = (side + side % 2 for side in self.size_hw)
        encoder = _working_encoder(height, width)
        self._reformatter = VideoReformatter()
        with ExitStack() as stack:
            temporary = stack.enter_context(atomic_path(self.path))
            options = {"movflags": "+faststart"}
            self._container = av.open(f"file:{temporary}", "w", format="mp4", options=options)
            stack.callback(self._close)
            stream = self._container.add_stream(encoder, rate=self.fps, options=ENCODERS[encoder])
            self._stream = cast(VideoStream, stream)
            self._stream.width, self._stream.height, self._stream.pix_fmt = width, height, "yuv420p"
            # Written into the stream, or players guess the colours from the size.
            context = self._stream.codec_context
            context.colorspace = context.color_primaries = context.color_trc = _BT709
            context.color_range = _LIMITED_RANGE
            self._stream.time_base = context.time_base = self._time_base
            self._sound_packets: Iterator[tuple[Fraction, Packet[Stream]]] = iter(())
            if self._sound is not None:
                source = stack.enter_context(open_video(self._sound.source))
                self._sound_packets = copied_packets(self._sound, source, self._container)
            self._waiting: tuple[Fraction, Packet[Stream]] | None = None
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
        """
        if image.shape != (*self.size_hw, 3):
            raise UsageError(
                f"{self.path}: a frame of shape {image.shape} in a video of {self.size_hw} (height, width)"
            )
        odd_rows, odd_columns = (side % 2 for side in self.size_hw)
        if odd_rows or odd_columns:
            image = np.pad(image, ((0, odd_rows), (0, odd_columns), (0, 0)), mode="edge")
        rgb = av.VideoFrame.from_numpy_buffer(np.ascontiguousarray(image), format="rgb24")  # no copy
        # AREA, the mean of 2 x 2 pixels, takes no longer than the default; a 1080p overlay comes out 0.2 dB better.
        frame = self._reformatter.reformat(
            rgb, format="yuv420p", dst_colorspace=Colorspace.ITU709, interpolation=Interpolation.AREA
        )
        self._thread.submit(self._write, frame, time_s).result()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finishes the file and gives it its name, or removes it."""
        with self._thread:  # waits for the frame that Ctrl-C came upon, and for the end of the file
            if kind is None or issubclass(kind, KeyboardInterrupt):
                self._thread.submit(self._finish, kind is not None).result()
            else:
                self._drop()

    def _write(self, frame: av.VideoFrame, time_s: Fraction | None) -> None:
        tick = self._next_tick if time_s is None else round(time_s / self._time_base)
        tick = max(tick, self._last_tick + 1)
        frame.pts, frame.time_base = tick, self._time_base
        self._last_tick, self._next_tick = tick, tick + self._frame_ticks
        self._encode(frame)
        self._copy_sound(tick * self._time_base)
        self.frames += 1

    def _finish(self, early: bool) -> None:
        if not self.frames:
            self._drop()
            return
        with self._stack:
            self._encode(None)
            self._copy_sound(self._next_tick * self._time_base if early else None)
        self.is_written = True

    def _drop(self) -> None:
        # Not the caller's exception: atomic_path would take an OSError of theirs for one of writing.
        with suppress(GeneratorExit), self._stack:
            raise GeneratorExit

    def _encode(self, frame: av.VideoFrame | None) -> None:
        with _write_errors(self.path):
            self._container.mux(self._stream.encode(frame))

    def _copy_sound(self, until_s: Fraction | None) -> None:
        """Muxes the packets before `until_s`: sound and pictures lie side by side in the file."""
        with _write_errors(self.path):
            while (packet := self._waiting or next(self._sound_packets, None)) is not None:
                self._waiting = packet
                if until_s is not None and packet[0] >= until_s:
                    return
                self._container.mux(packet[1])
                self._waiting = None

    def _close(self) -> None:
        with _write_errors(self.path):
            self._container.close()


@contextmanager
def _write_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except av.FFmpegError as error:
        raise InputError(f"{path}: cannot write: {error.strerror}") from error


def _working_encoder(height: int, width: int) -> str:
    # An encoder can be in the build and yet not work: those of graphics cards need the card and its driver.
    for name in ENCODERS:
        try:
            context = cast(VideoCodecContext, av.CodecContext.create(name, "w"))
            context.width, context.height, context.pix_fmt = width, height, "yuv420p"
            context.time_base = Fraction(1, 25)
            context.open()
        except (av.FFmpegError, ValueError):
            continue
        return name
    raise InputError(
        f"no H.264 encoder works in this FFmpeg (tried {', '.join(ENCODERS)}): "
        "reinstall PyAV from its own wheel, which has libx264 (pip install --force-reinstall av)"
    )
