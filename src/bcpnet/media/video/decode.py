"""Frames out of an open video file, each with its time, past what is damaged."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from itertools import chain, islice
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from av import VideoStream
from av.packet import Packet
from av.video.reformatter import VideoReformatter

from bcpnet.errors import InputError
from bcpnet.media.video.open import as_fraction, file_start, frames_per_second, open_video, picture_stream
from bcpnet.media.video.upright import upright_of
from bcpnet.storage.damaged import damage, reason

_MOST_READING_FAILURES = 100  # one after the other; then the rest of a file is given up
_MEASURED_PACKETS = 100
_GAP_STEPS = 1.5  # of the mean time between frames
_DURATION_TAG = re.compile(r"(\d{1,9}):(\d\d):(\d\d(?:\.\d{1,9})?)")  # of a stream, in Matroska and WebM
_CLOCK_SET_BACK_S = 1  # a time that lies further back than this is of a clock that was set anew

Timed = tuple[av.VideoFrame, Fraction]


class Decoder:
    """Decodes the frames of one file and counts what is damaged. Use as a context manager.

    Attributes:
        path: the file.
        container, stream: of PyAV, open.
    """

    def __init__(self, path: Path, threads: int | None = None) -> None:
        """Opens the file; `threads` decode it, by default as many as FFmpeg chooses. Raises InputError: not a video."""
        self.path = path
        self.container = open_video(path)
        self.stream = picture_stream(self.container)
        if threads is not None:
            self.stream.codec_context.thread_count = threads
        self._reformatter = VideoReformatter()  # kept: a new one for every 1080p frame takes 4 ms, this one 0.6
        self._start_over()

    def __enter__(self) -> Decoder:
        """Itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Closes the file."""
        # PyAV frees the decoder, and so waits for FFmpeg's threads, with the GIL held; and they wait for the GIL where
        # PyAV's logging is on and they have something to log. This call waits for them without it.
        self.stream.codec_context.flush_buffers()
        self.container.close()

    def frames(self, start_s: Fraction | float = 0) -> Iterator[Timed]:
        """Frames and their times, in seconds from the start of the file, from the first at or after `start_s`."""
        if start_s:
            self._seek(start_s)  # to the key frame before
            frames = self._timed()
            first = next(frames, None)
            if first is not None and first[0].pts is not None and first[1] <= start_s:
                if first[1] == start_s:
                    yield first
                yield from (frame for frame in frames if frame[1] >= start_s)
                return
            # Some formats have no index of their key frames.
            self._seek(Fraction(0))
        yield from (frame for frame in self._timed() if frame[1] >= start_s)

    def image(self, frame: av.VideoFrame) -> npt.NDArray[np.uint8] | None:
        """A frame as H x W x 3 uint8, RGB, upright; None, and counted as damaged, where it cannot be had."""
        try:
            image = self._reformatter.reformat(frame, format="rgb24").to_ndarray()
        except damage("av") as error:
            self._add_damage(error)
            return None
        return upright_of(frame)(image.astype(np.uint8, copy=False))

    def measured_rate(self) -> Fraction:
        """Frames a second by the times of the first hundred, for files that state none, as browsers' recordings."""
        self._seek(0)
        unit_s = as_fraction(self.stream.time_base)
        times = sorted(packet.pts for packet in islice(self._packets(), _MEASURED_PACKETS) if packet.pts is not None)
        length_s = (times[-1] - times[0]) * unit_s if times and unit_s else Fraction(0)
        return (len(times) - 1) / length_s if length_s else frames_per_second(self.stream)

    def raise_if_damaged(self, count: int, whole: bool) -> None:
        """Says what was wrong with the file, of which `count` frames were used; `whole`: up to its end.

        Raises:
            InputError: parts of it cannot be decoded, or its end is missing.
        """
        if self._damaged:
            places = f"in {self._damaged} places, the first" if self._damaged > 1 else "in one place,"
            raise InputError(
                f"{self.path}: damaged {places} at about {float(self._first_damage_s):.2f} s ({self._first_damage}): "
                f"{'the other frames are kept' if count else 'no frame can be decoded'}"
            )
        # FFmpeg takes the end of a cut-off file for the end of the video. The number of frames the container
        # states would not do: a trimmed video (edit list) rightly gives fewer.
        stated_s, unit_s = self._stated_end_s(), as_fraction(self.stream.time_base)
        if whole and stated_s is not None and unit_s and self._last_end is not None:
            missing_frames = (stated_s - self._last_end * unit_s) * frames_per_second(self.stream)
            if missing_frames > 1.5:
                raise InputError(
                    f"{self.path}: cut off after {count} frames, some {round(missing_frames)} before its end"
                )

    def _stated_end_s(self) -> Fraction | None:
        """When the last frame ends by what the file states, in seconds of the stream's clock; None = unstated."""
        stream, unit_s, of_all = self.stream, as_fraction(self.stream.time_base), self.container.duration
        if stream.duration and unit_s:
            return (stream.duration + (stream.start_time or 0)) * unit_s
        # Other formats that state no length of a stream do not state one at all: FFmpeg estimates it.
        if of_all is None or not self.container.format.name.startswith("matroska"):
            return None
        end_s = Fraction(of_all, av.time_base)
        tag = _DURATION_TAG.fullmatch(stream.metadata.get("DURATION", ""))
        if tag is not None:
            hours, minutes, seconds = map(Fraction, tag.groups())
            return min(end_s, 3600 * hours + 60 * minutes + seconds)
        return end_s if len(self.container.streams) == 1 else None  # else of what is longest, maybe the sound

    def _start_over(self) -> None:
        self._damaged = 0
        self._first_damage, self._first_damage_s = "", Fraction(0)
        self._time_s = Fraction(-1)
        self._last_pts: int | None = None
        self._last_end: int | None = None
        self._latest_sent: int | None = None
        self._torn_pts: int | None = None  # of the last packet at which a part of the file is missing

    def _seek(self, time_s: Fraction | float) -> None:
        self._start_over()
        try:
            self.container.seek(file_start(self.container) + int(time_s * av.time_base))
        except damage("av") as error:
            raise InputError(f"{self.path}: cannot be read from {float(time_s):g} s on ({reason(error)})") from error

    def _timed(self) -> Iterator[Timed]:
        start_s = Fraction(file_start(self.container), av.time_base)
        step_s = 1 / frames_per_second(self.stream)
        shift_s = Fraction(0)
        self._time_s = -step_s
        for frame in chain(self._decoded(), self._lost_at_the_end()):
            unit_s = as_fraction(frame.time_base)
            # A frame without a time of its own, as some AVIs have, follows the one before.
            if frame.pts is None or unit_s is None:
                time_s = self._time_s + step_s
            else:
                time_s = frame.pts * unit_s - start_s + shift_s
                if time_s < self._time_s - _CLOCK_SET_BACK_S:
                    shift_s += self._time_s + step_s - time_s
                    time_s = self._time_s + step_s
                is_gap = self._last_pts is not None and time_s - self._time_s > _GAP_STEPS * step_s
                if is_gap and self._torn_pts is not None:
                    # Frames that FFmpeg lost without a word. With no torn packet it is no gap: the rate may vary.
                    self._add_damage(None)
                    self._torn_pts = None
                self._last_pts, self._last_end = frame.pts, frame.pts + (frame.duration or 0)
            self._time_s = time_s
            yield frame, time_s

    def _decoded(self) -> Iterator[av.VideoFrame]:
        for packet in self._packets():
            if packet.pts is not None and not packet.is_discard:
                self._latest_sent = max(packet.pts, self._latest_sent or packet.pts)
                if packet.is_corrupt:
                    self._torn_pts = packet.pts
            try:
                frames = packet.decode()
            except av.EOFError:
                continue  # nothing waits in the decoder any more
            except damage("av") as error:
                self._add_damage(error)
                continue
            for frame in frames:
                assert isinstance(frame, av.VideoFrame)
                if frame.is_corrupt:
                    self._add_damage(None)
                yield frame

    def _packets(self) -> Iterator[Packet[VideoStream]]:
        failures = 0
        while failures < _MOST_READING_FAILURES:
            try:
                for packet in self.container.demux(self.stream):
                    failures = 0
                    yield packet
                return
            except damage("av") as error:  # such as one index entry that points nowhere: the next may be good
                failures += 1
                self._add_damage(error)

    def _lost_at_the_end(self) -> Iterator[av.VideoFrame]:
        """The last frames, where PyAV dropped them: of what FFmpeg's threads hold at the end, if one part is damaged.

        They are decoded anew, by one thread, which holds nothing.
        """
        last = self._last_pts
        if last is None or self._latest_sent is None or last >= self._latest_sent:
            return
        with Decoder(self.path, threads=1) as again:
            again.container.seek(last, stream=again.stream)
            yield from (frame for frame in again._decoded() if frame.pts is not None and frame.pts > last)
            if again._damaged and not self._damaged:
                self._damaged, self._first_damage, self._first_damage_s = 1, again._first_damage, self._time_s

    def _add_damage(self, error: Exception | None) -> None:
        if not self._damaged:
            self._first_damage = "frames are missing or incomplete" if error is None else reason(error)
            self._first_damage_s = max(Fraction(0), self._time_s)
        self._damaged += 1
