"""The sound of a video, copied packet by packet into another: nothing is decoded or encoded again."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from av import AudioStream
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Stream

from bcpnet.media.video.read import file_start, open_video


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


def copied_packets(
    sound: Sound, source: InputContainer, output: OutputContainer
) -> Iterator[tuple[Fraction, Packet[Stream]]]:
    """Adds streams for the sound to `output`; the packets to mux into it, each with its time in the video, in seconds.

    A source that breaks ends the iteration: who reads its frames says so.
    """
    streams = {
        stream.index: output.add_stream_from_template(stream)
        for stream in source.streams.audio
        if _fits(stream, output)
    }
    return _packets(sound, source, streams) if streams else iter(())


def _packets(
    sound: Sound, source: InputContainer, streams: dict[int, AudioStream]
) -> Iterator[tuple[Fraction, Packet[Stream]]]:
    start_s = sound.start_s + Fraction(file_start(source), av.time_base)
    try:
        if sound.start_s:
            source.seek(int(start_s * av.time_base))
        for packet in source.demux([source.streams[index] for index in streams]):
            if packet.pts is None or packet.dts is None or packet.time_base is None:
                continue
            time_s = packet.pts * packet.time_base - start_s
            # What is played before the start goes; at the very start it stays, where codecs need it to warm up.
            if sound.start_s and time_s + (packet.duration or 0) * packet.time_base <= 0:
                continue
            if sound.end_s is not None and time_s + sound.start_s >= sound.end_s:
                continue
            shift = round(start_s / packet.time_base)
            packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
            packet.stream = streams[packet.stream_index]
            yield time_s, packet
    except av.FFmpegError:
        return


def _fits(stream: AudioStream, mp4: OutputContainer) -> bool:
    return _codec(stream) in mp4.supported_codecs


def _codec(stream: AudioStream) -> str:
    context = stream.codec_context
    return "unknown" if context is None else str(context.name)
