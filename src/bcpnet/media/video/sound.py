"""The sound of a video, copied packet by packet into another: nothing is decoded or encoded again."""

from __future__ import annotations

import heapq
import io
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from operator import itemgetter
from pathlib import Path
from typing import Any, TypeAlias

import av
from av import AudioStream
from av.container import InputContainer, OutputContainer
from av.packet import Packet

from bcpnet.media.video.open import as_fraction, file_start, open_video, picture_stream
from bcpnet.storage.damaged import damage, reason


@dataclass(frozen=True)
class Sound:
    """What part of a file's sound goes into a video.

    Attributes:
        source: the file.
        start_s: its second that becomes the video's second 0.
        end_s: packets that begin here or later are left out; None = to the end.
    """

    source: Path
    start_s: Fraction = Fraction(0)
    end_s: Fraction | float | None = None


def lost_sound(path: str | Path) -> list[str]:
    """Names of the codecs of a video's sound that MP4 does not take, so that `VideoWriter` leaves them out.

    Raises:
        InputError: the file cannot be read as a video.
    """
    with open_video(Path(path)) as container, av.open(io.BytesIO(), "w", format="mp4") as mp4:
        return [_codec(stream) for stream in container.streams.audio if not _fits(stream, mp4)]


def add_sound(video: Path, sound: Sound, until_s: Fraction | None) -> str | None:
    """Puts sound beside the pictures of an MP4, up to `until_s` of it; None = all.

    Returns why there is none or not all of it, where the source's sound is damaged; the pictures stay as they are.
    """
    lost = None
    both = video.with_name(f"{video.stem}.sound{video.suffix}")
    try:
        with (
            open_video(sound.source) as source,
            open_video(video) as pictures,
            av.open(f"file:{both}", "w", format="mp4", options={"movflags": "+faststart"}) as output,
        ):
            output.metadata.update(pictures.metadata)
            output.add_stream_from_template(picture_stream(pictures), opaque=True)
            streams = {
                stream.index: output.add_stream_from_template(stream)
                for stream in source.streams.audio
                if _fits(stream, output)
            }
            if not streams:
                return None
            heard = _heard(sound, source, streams, until_s)
            for _, packet in heapq.merge(_shown(pictures, output), heard, key=itemgetter(0)):
                try:
                    output.mux(packet)
                except (av.ArgumentError, av.InvalidDataError) as error:  # a packet that makes no sense: the others may
                    lost = reason(error)
        both.replace(video)
    except damage("av") as error:
        lost = reason(error)
    finally:
        both.unlink(missing_ok=True)
    return lost


Timed: TypeAlias = "tuple[Fraction, Packet[Any]]"


def _shown(pictures: InputContainer, output: OutputContainer) -> Iterator[Timed]:
    stream = picture_stream(pictures)
    for packet in pictures.demux(stream):
        unit_s = as_fraction(packet.time_base)
        if packet.dts is not None and unit_s is not None:
            packet.stream = output.streams.video[0]
            yield packet.dts * unit_s, packet


def _heard(
    sound: Sound, source: InputContainer, streams: dict[int, AudioStream], until_s: Fraction | None
) -> Iterator[Timed]:
    """A source that breaks ends the iteration: who reads its frames says so."""
    start_s = sound.start_s + Fraction(file_start(source), av.time_base)
    latest = dict.fromkeys(streams, -(2**63))
    try:
        if sound.start_s:
            source.seek(int(start_s * av.time_base))
        for packet in source.demux([source.streams[index] for index in streams]):
            unit_s = as_fraction(packet.time_base)
            if packet.pts is None or packet.dts is None or unit_s is None or packet.dts <= latest[packet.stream_index]:
                continue
            latest[packet.stream_index] = packet.dts
            time_s = packet.pts * unit_s - start_s
            # What is played before the start goes; at the very start it stays, where codecs need it to warm up.
            if sound.start_s and time_s + (packet.duration or 0) * unit_s <= 0:
                continue
            if sound.end_s is not None and time_s + sound.start_s >= sound.end_s:
                continue
            if until_s is not None and time_s >= until_s:
                continue
            shift = round(start_s / unit_s)
            packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
            packet.stream = streams[packet.stream_index]
            yield time_s, packet
    except damage("av"):
        return


def _fits(stream: AudioStream, mp4: OutputContainer) -> bool:
    return _codec(stream) in mp4.supported_codecs


def _codec(stream: AudioStream) -> str:
    context = stream.codec_context
    return "unknown" if context is None else str(context.name)
