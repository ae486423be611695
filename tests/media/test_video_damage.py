"""Damage in a video costs what is damaged, and is told; odd clocks and streams; PyAV's logging."""

from __future__ import annotations

import struct
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from media_files import noise, scene, write_clip

from bcpnet.errors import InputError
from bcpnet.media.images import MOST_PIXELS
from bcpnet.media.video import Cut, VideoFrame, VideoWriter, read_video, video_frames, video_info


def write_film(
    path: Path,
    codec: str = "libx264",
    frames: int = 40,
    ticks: list[int] | None = None,
    unit_s: Fraction = Fraction(1, 25),
) -> Path:
    with av.open(path, "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.codec_context.gop_size = 8
        stream.codec_context.time_base = unit_s
        for index, tick in enumerate(ticks or range(frames)):
            picture = np.roll(scene(index, 64, 96), 5 * index, axis=1)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = tick, unit_s
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def read(path: Path, cut: Cut | None = None) -> tuple[list[VideoFrame], str]:
    """Frames, and what was told in the end."""
    frames, told = [], ""
    try:
        for frame in video_frames(path, cut or Cut()):
            frames.append(frame)
    except InputError as error:
        told = str(error)
    assert not told or told.startswith(f"{path}: ")
    assert "\n" not in told
    return frames, told


def decodable(path: Path) -> tuple[int, int]:
    """By FFmpeg with one thread, which passes over what it cannot decode: frames, packets refused."""
    frames = refused = 0
    with av.open(path) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        for packet in container.demux(stream):
            try:
                frames += len(packet.decode())
            except av.FFmpegError:
                refused += 1
    return frames, refused


@pytest.mark.parametrize(
    ("suffix", "codec"), [("mp4", "libx264"), ("mkv", "libx264"), ("webm", "libvpx"), ("avi", "mpeg4")]
)
def test_damage_costs_only_what_is_damaged(suffix: str, codec: str, tmp_path: Path) -> None:
    whole = write_film(tmp_path / f"a.{suffix}", codec).read_bytes()
    damaged = tmp_path / f"b.{suffix}"
    rng = np.random.default_rng(0)
    refused_in_all = 0
    for start in np.linspace(0.15, 0.95, 12):
        data = bytearray(whole)
        at = round(start * len(data))
        data[at : at + 200] = rng.bytes(len(data[at : at + 200]))
        damaged.write_bytes(data)
        try:
            frames, refused = decodable(damaged)
        except (av.FFmpegError, UnicodeDecodeError, IndexError, AttributeError):
            continue  # no video any more, or one that FFmpeg and PyAV alone do not get at
        refused_in_all += refused
        got, told = read(damaged)
        assert len(got) >= frames
        assert [frame.index for frame in got] == list(range(len(got)))
        assert told or not refused
    assert refused_in_all or suffix != "mp4"


@pytest.mark.parametrize("tag", [b"DURATION", b"DURATIOX"])  # of the stream; without it the file's own length counts
@pytest.mark.parametrize(("suffix", "codec"), [("mkv", "libx264"), ("webm", "libvpx")])
def test_a_matroska_that_is_cut_off_is_told(suffix: str, codec: str, tag: bytes, tmp_path: Path) -> None:
    film = write_film(tmp_path / f"a.{suffix}", codec)
    with av.open(film) as container:
        ends = [packet.pos + packet.size for packet in container.demux(video=0) if packet.size]
    whole = film.read_bytes().replace(b"DURATION", tag)
    film.write_bytes(whole)
    frames, told = read(film)
    assert (len(frames), told) == (40, "")
    film.write_bytes(whole[: ends[24] + 8])  # between two packets FFmpeg takes it for the end
    frames, told = read(film)
    assert told == f"{film}: cut off after {len(frames)} frames, some {40 - len(frames)} before its end"
    assert 22 <= len(frames) <= 25


def test_sound_that_goes_on_does_not_make_a_matroska_cut_off(tmp_path: Path) -> None:
    with av.open(tmp_path / "a.mkv", "w") as container:
        pictures, sound = container.add_stream("mpeg4", rate=25), container.add_stream("pcm_s16le", rate=8000)
        pictures.width, pictures.height, pictures.pix_fmt = 64, 48, "yuv420p"
        sound.layout = "mono"
        for index in range(10):
            picture = av.VideoFrame.from_ndarray(scene(index), format="rgb24")
            container.mux(pictures.encode(picture))
        for second in range(5):
            samples = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.int16), "s16", "mono")
            samples.sample_rate, samples.pts = 8000, second * 8000
            container.mux(sound.encode(samples))
        for stream in (pictures, sound):
            container.mux(stream.encode(None))
    whole = (tmp_path / "a.mkv").read_bytes()
    for tag in (b"DURATION", b"DURATIOX"):
        (tmp_path / "a.mkv").write_bytes(whole.replace(b"DURATION", tag))
        frames, told = read(tmp_path / "a.mkv")
        assert (len(frames), told) == (10, "")


def test_frames_keep_their_times_past_damage(tmp_path: Path) -> None:
    film = write_film(tmp_path / "a.mp4")
    with av.open(film) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        damaged = next(packet for packet in packets[20:] if packet.is_keyframe)
        at, size = damaged.pos, damaged.size
    before, _ = read(film)
    data = bytearray(film.read_bytes())
    data[at : at + size] = bytes(size)
    film.write_bytes(data)
    after, told = read(film)
    assert "damaged" in told
    assert "the other frames are kept" in told
    times = [frame.time_s for frame in before]
    kept = [frame.time_s for frame in after]
    assert 30 <= len(kept) < 40
    assert set(kept) <= set(times)
    images = {frame.time_s: frame.image for frame in before}
    lost_at = min(set(times) - set(kept))
    for frame in after:
        if frame.time_s < lost_at:
            np.testing.assert_array_equal(frame.image, images[frame.time_s])
    assert not read(film, Cut(end_s=lost_at / 2))[1]  # what lies behind is not looked at


def test_frames_that_are_lost_without_a_word_of_ffmpegs_are_told(tmp_path: Path) -> None:
    film = write_film(tmp_path / "a.ts", frames=40)
    data = bytearray(film.read_bytes())
    with av.open(film) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    torn = [packet for packet in packets[20:] if not packet.is_keyframe][:3]
    for packet in torn:  # the first of its pieces of 188 bytes: without it FFmpeg does not know where it begins
        data[packet.pos : packet.pos + 188] = b"\x47\x1f\xff\x10" + b"\xff" * 184
    film.write_bytes(data)
    frames, told = read(film)
    assert 30 <= len(frames) < 40
    assert "damaged in " in told
    assert not read(film, Cut(end_s=0.4))[1]
    times = [round(25 * float(frame.time_s), 2) for frame in frames]
    assert set(times) < set(range(40))  # the gap stays


def test_an_index_entry_that_points_nowhere_costs_one_frame(tmp_path: Path) -> None:
    film = write_clip(tmp_path / "a.mp4", 20)
    data = bytearray(film.read_bytes())
    offsets = data.index(b"stco") + 12  # ISO 14496-12, 8.7.5: where the chunks lie
    (chunks,) = struct.unpack(">I", data[offsets - 4 : offsets])
    middle = offsets + 4 * (chunks // 2)
    data[middle : middle + 4] = struct.pack(">I", 2**32 - 1)
    film.write_bytes(data)
    frames, told = read(film)
    assert told
    assert len(frames) >= 20 - 20 // chunks - 1


def test_a_clock_that_is_set_back_goes_on(tmp_path: Path) -> None:
    """As where two broadcasts are put one behind the other."""
    first = write_film(tmp_path / "a.ts").read_bytes()
    (tmp_path / "b.ts").write_bytes(first + first)
    frames, told = read(tmp_path / "b.ts")
    assert not told
    times = [frame.time_s for frame in frames]
    assert len(times) == 80
    assert [round(25 * float(time)) for time in times] == list(range(80))


def test_a_rate_that_no_one_stated_is_measured(tmp_path: Path) -> None:
    """As browsers record: WebM without the duration of a frame, which FFmpeg takes for 1000 frames a second."""
    rng = np.random.default_rng(1)
    ticks = np.cumsum([0, *(33 + rng.integers(-8, 9, 39))]).tolist()
    film = write_film(tmp_path / "a.webm", "libvpx", ticks=ticks, unit_s=Fraction(1, 1000))
    data = bytearray(film.read_bytes())
    at = data.index(b"\x23\xe3\x83")  # DefaultDuration, made Void
    length = 4 + (data[at + 3] & 127)
    data[at : at + length] = b"\xec" + bytes([0x80 | (length - 2)]) + bytes(length - 2)
    film.write_bytes(data)
    info = video_info(film)
    assert float(info.fps) == pytest.approx(1000 / np.diff(ticks).mean(), rel=0.01)
    assert info.frames == pytest.approx(40, abs=1)
    assert [1000 * frame.time_s for frame in read(film)[0]] == ticks


@pytest.mark.parametrize("scale_and_rate", [(10**6, 1), (1, 2**31 - 1), (2**31 - 1, 2**31 - 2), (1, 10**6), (0, 0)])
def test_any_rate_in_a_header(scale_and_rate: tuple[int, int], tmp_path: Path) -> None:
    film = write_film(tmp_path / "a.avi", "mpeg4", 6)
    data = bytearray(film.read_bytes())
    at = data.index(b"strh") + 28
    data[at : at + 8] = struct.pack("<II", *scale_and_rate)
    film.write_bytes(data)
    info, (frames, _) = video_info(film), read(film)
    assert len(frames) == 6
    assert info.fps > 0
    copy = tmp_path / "b.mp4"
    with VideoWriter(copy, info.size_hw, info.fps, time_base=info.time_base) as writer:
        for frame in frames:
            if writer.takes(frame.time_s):
                writer.write(frame.image, frame.time_s)
    written, told = read(copy)
    assert (len(written), told) == (writer.frames, "")
    for before, after in zip(frames, written, strict=False):
        assert abs(before.time_s - after.time_s) <= max(
            Fraction(1, 10_000), 6 * min(info.time_base, Fraction(1, 90_000))
        )


def test_the_first_of_two_videos_in_a_file_and_no_cover(tmp_path: Path) -> None:
    with av.open(tmp_path / "a.mkv", "w") as container:
        streams = [container.add_stream("libx264", rate=25) for _ in range(2)]
        for stream, width in zip(streams, (64, 96), strict=True):
            stream.width, stream.height, stream.pix_fmt = width, 48, "yuv420p"
        for index in range(5):
            for stream in streams:
                frame = av.VideoFrame.from_ndarray(noise(48, stream.width), format="rgb24")
                frame.pts = index
                container.mux(stream.encode(frame))
        for stream in streams:
            container.mux(stream.encode(None))
    assert [image.shape for image in read_video(tmp_path / "a.mkv")] == [(48, 64, 3)] * 5


@pytest.mark.parametrize("pixels", ["yuv420p10le", "yuv444p", "yuvj420p", "gray", "yuv422p10le"])
def test_any_pixel_format(pixels: str, tmp_path: Path) -> None:
    with av.open(tmp_path / "a.mkv", "w") as container:
        stream = container.add_stream("ffv1" if pixels != "yuvj420p" else "mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = 62, 46, pixels
        for index in range(3):
            frame = av.VideoFrame.from_ndarray(scene(index, 46, 62), format="rgb24").reformat(format=pixels)
            frame.pts = index
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    for index, image in enumerate(read_video(tmp_path / "a.mkv")):
        expected = scene(index, 46, 62).astype(int)
        if pixels == "gray":
            expected = np.repeat((expected @ [0.299, 0.587, 0.114])[:, :, None], 3, axis=2)
        assert np.abs(image - expected).mean() < 4


def test_frames_larger_than_pictures_may_be_are_refused(tmp_path: Path) -> None:
    film = write_film(tmp_path / "a.avi", "mjpeg", 3)
    data = bytearray(film.read_bytes())
    side = int(MOST_PIXELS**0.5) + 100
    at = 0
    while (at := data.find(b"\xff\xc0", at)) >= 0:  # JPEG's frame header: height and width
        data[at + 5 : at + 9] = struct.pack(">HH", side, side)
        at += 2
    film.write_bytes(data)
    frames, told = read(film)
    assert not frames
    assert told


LOGGING = """
import itertools, sys
import av
av.logging.set_level(av.logging.{level})
from bcpnet.errors import InputError
from bcpnet.media.video import Cut, read_video, video_frames, video_info
for left_after in range(12):
    video_info(sys.argv[1])
    for _ in itertools.islice(read_video(sys.argv[1]), left_after % 4): pass
    try:
        for _ in itertools.islice(video_frames(sys.argv[1], Cut(start_s=1.5)), 2): pass
    except InputError:
        pass
print("done")
"""


@pytest.mark.parametrize("level", ["ERROR", "DEBUG"])
def test_pyavs_logging_does_not_stop_it(level: str, tmp_path: Path) -> None:
    """As torchvision switches it on: FFmpeg's threads then wait for the GIL, to log."""
    film = tmp_path / "a.mp4"
    with VideoWriter(film, (256, 320), 25) as writer:
        for index in range(60):
            writer.write(noise(256, 320) // 2 + index)
    data = bytearray(film.read_bytes())
    for at in range(len(data) // 3, len(data), len(data) // 40):  # so that there is something to log
        data[at] ^= 255
    film.write_bytes(data)
    command = [sys.executable, "-c", LOGGING.format(level=level), film]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            assert process.communicate(timeout=100)[0] == b"done\n"
        finally:
            process.kill()


def test_metadata_in_other_encodings(tmp_path: Path) -> None:
    film = tmp_path / "a.mkv"
    with av.open(film, "w") as container:
        container.metadata["title"] = "Stra@e"
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        container.mux([*stream.encode(av.VideoFrame.from_ndarray(noise(48, 64), format="rgb24")), *stream.encode(None)])
    film.write_bytes(film.read_bytes().replace(b"Stra@e", b"Stra\xdfe"))
    assert len(list(read_video(film))) == 1


@pytest.mark.parametrize(
    "text",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nother.mp4\n#EXT-X-ENDLIST\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nhttp://127.0.0.1:9/other.mp4\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile other.mp4\n",
    ],
)
def test_a_playlist_does_not_stand_for_other_files(text: str, tmp_path: Path) -> None:
    write_clip(tmp_path / "other.mp4")
    (tmp_path / "a.mp4").write_text(text)
    frames, told = read(tmp_path / "a.mp4")
    assert not frames
    assert told
