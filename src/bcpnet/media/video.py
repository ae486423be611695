"""Video files: frames out of them and frames into them, by FFmpeg (PyAV)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import cast

import av
import numpy as np
import numpy.typing as npt
from av import VideoCodecContext, VideoStream
from av.container import InputContainer
from av.video.reformatter import Colorspace, Interpolation, VideoReformatter

from bcpnet.errors import InputError, UsageError
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


@dataclass(frozen=True)
class VideoInfo:
    """What a video file says of itself.

    Attributes:
        fps: frames a second, exact (30000/1001 for "29.97"); the average where the rate varies.
        size_hw: height and width of the frames that `read_video` yields, in pixels.
        frames: number of frames by the length the container states; None where it states none.
    """

    fps: Fraction
    size_hw: tuple[int, int]
    frames: int | None


def video_info(path: str | Path) -> VideoInfo:
    """Reads frame rate, size and length; decodes one frame.

    Raises:
        InputError: missing, not a video, no video stream, no frames.
    """
    path = Path(path)
    with _open(path) as container:
        stream = container.streams.video[0]
        fps = stream.average_rate or stream.guessed_rate or Fraction(25)
        length = stream.duration and stream.time_base and stream.duration * stream.time_base
    height, width, _ = next(read_video(path)).shape
    return VideoInfo(fps, (height, width), round(length * fps) if length else None)


def read_video(path: str | Path) -> Iterator[npt.NDArray[np.uint8]]:
    """Yields the frames of a video as H x W x 3 uint8, RGB, turned as its rotation metadata says.

    A file that breaks midway yields the frames up to there, then raises.

    Raises:
        InputError: missing, not a video, no video stream, no frames, damaged or cut off.
    """
    path = Path(path)
    reformatter = VideoReformatter()  # kept: a new one for every 1080p frame takes 4 ms, this one 0.6
    count = 0
    with _open(path) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        try:
            for frame in container.decode(stream):
                image = reformatter.reformat(frame, format="rgb24").to_ndarray().astype(np.uint8, copy=False)
                # Both count counter-clockwise.
                yield np.ascontiguousarray(np.rot90(image, frame.rotation // 90))
                count += 1
        except av.FFmpegError as error:
            raise InputError(f"{path}: damaged or cut off after {count} frames ({error.strerror})") from error
        if count == 0:
            raise InputError(f"{path}: a video without frames")
        # FFmpeg takes the end of a cut-off file for the end of the video. The number of frames the container
        # states would not do: a trimmed video (edit list) rightly gives fewer.
        stated, fps = stream.duration, stream.average_rate
        if stated and fps and stream.time_base and frame.pts is not None:
            end = frame.pts - (stream.start_time or 0) + (frame.duration or 0)
            missing = (stated - end) * stream.time_base * fps
            if missing > 1.5:
                raise InputError(f"{path}: cut off after {count} frames, some {round(missing)} before its end")


def _open(path: Path) -> InputContainer:
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
    return container


class VideoWriter:
    """Writes H.264 in MP4 that browsers play: yuv420p, BT.709, index in front. Use as a context manager.

    The file appears, whole, when the block ends well. When it raises, or when no frame was written, there is
    no file. H.264 in yuv420p needs even sides; an odd frame gets its last row or column twice.

    Args:
        path: where to; the suffix should be .mp4.
        size_hw: height and width of every frame, in pixels.
        fps: frames a second; a Fraction is kept exactly.

    Raises:
        UsageError: a frame rate or size that is not positive, a frame of another size.
        InputError: cannot write there, disk full, no H.264 encoder in this FFmpeg.
    """

    def __init__(self, path: str | Path, size_hw: tuple[int, int], fps: Fraction | float) -> None:
        """Opens nothing yet."""
        self.path = Path(path)
        self.size_hw = size_hw
        self.fps = Fraction(fps).limit_denominator(65535)
        self.frames = 0
        if self.fps <= 0 or min(size_hw) < 1:
            raise UsageError(f"{path}: cannot write a video of {size_hw[1]}x{size_hw[0]} at {fps} frames a second")

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
            self._stack = stack.pop_all()
        return self

    def write(self, image: npt.NDArray[np.uint8]) -> None:
        """Appends one frame, H x W x 3 uint8, RGB, of the size given at the start."""
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
        frame.pts, frame.time_base = self.frames, 1 / self.fps
        self._encode(frame)
        self.frames += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finishes the file and gives it its name, or removes it."""
        if kind is None and self.frames:
            with self._stack:
                self._encode(None)
            return
        # Not the caller's exception: atomic_path would take an OSError of theirs for one of writing.
        with suppress(GeneratorExit), self._stack:
            raise GeneratorExit

    def _encode(self, frame: av.VideoFrame | None) -> None:
        with _write_errors(self.path):
            self._container.mux(self._stream.encode(frame))

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
