"""A frame's time, and the sound beside it, go from one video into the next; parts of videos."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from media_files import scene, write_clip

from bcpnet.errors import InputError, UsageError
from bcpnet.media.video import Cut, Sound, VideoWriter, lost_sound, read_video, video_frames, video_info

TICKS = [0, 40, 80, 200, 240, 1000, 1033, 1066, 1500, 1540]  # milliseconds, at no fixed rate
RATE = 48000


def write_film(
    path: Path, codec: str | None = "aac", ticks: Iterable[int] = range(0, 2000, 40), picture: str = "libx264"
) -> Path:
    """Frames at these milliseconds, with key frames half a second apart, and two seconds of a rising tone."""
    unit_s = Fraction(1, 25 if path.suffix == ".avi" else 1000)  # AVI has a fixed rate
    with av.open(path, "w") as container:
        video = container.add_stream(picture, rate=25, options={"g": "12"})
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        video.codec_context.time_base = unit_s
        sound = container.add_stream(codec, rate=RATE, layout="mono") if codec else None
        for index, tick in enumerate(ticks):
            frame = av.VideoFrame.from_ndarray(scene(index), format="rgb24")
            frame.pts, frame.time_base = round(tick / 1000 / unit_s), unit_s
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if sound:
            seconds = np.arange(2 * RATE) / RATE
            wave = (20000 * np.sin(2 * np.pi * (300 + 100 * seconds) * seconds)).astype(np.int16)
            samples = av.AudioFrame.from_ndarray(wave[None], format="s16", layout="mono")
            samples.sample_rate, samples.pts, samples.time_base = RATE, 0, Fraction(1, RATE)
            resampler = av.AudioResampler(sound.codec_context.format, "mono", RATE, sound.codec_context.frame_size)
            for part in [*resampler.resample(samples), *resampler.resample(None)]:
                container.mux(sound.encode(part))
            container.mux(sound.encode(None))
    return path


def copied(source: Path, to: Path, cut: Cut | None = None) -> Path:
    """The film as a writer makes it of the frames and their times."""
    cut = cut or Cut()
    info = video_info(source)
    frames = list(video_frames(source, cut))
    start_s = frames[0].time_s if cut.start_s else Fraction(0)
    sound = Sound(source, start_s, cut.end_s)
    with VideoWriter(to, info.size_hw, info.fps / cut.every, time_base=info.time_base, sound=sound) as writer:
        for frame in frames:
            writer.write(frame.image, frame.time_s - start_s)
    return to


def times_ms(path: Path, cut: Cut | None = None) -> list[int]:
    return [round(1000 * frame.time_s) for frame in video_frames(path, cut or Cut())]


def sound_packets(path: Path) -> list[bytes]:
    with av.open(path) as container:
        return [bytes(packet) for packet in container.demux(audio=0) if packet.size]


def loudness(path: Path, from_s: float, to_s: float) -> tuple[float, float]:
    """Of the sound in that time: root mean square, and the tone's frequency by its zero crossings."""
    with av.open(path) as container:
        resampler = av.AudioResampler("s16", "mono", RATE)
        pieces, first = [], None
        for frame in container.decode(audio=0):
            first = frame.time if first is None else first
            pieces += [part.to_ndarray()[0] for part in resampler.resample(frame)]
    wave = np.concatenate(pieces).astype(float)[round((from_s - first) * RATE) : round((to_s - first) * RATE)]
    return float(np.sqrt((wave**2).mean())), float((np.diff(np.sign(wave)) > 0).sum() / (to_s - from_s))


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "mov"])
def test_a_varying_rate_keeps_its_times(suffix: str, tmp_path: Path) -> None:
    film = write_film(tmp_path / f"a.{suffix}", None, TICKS)
    assert times_ms(film) == TICKS
    copy = copied(film, tmp_path / "b.mp4")
    assert times_ms(copy) == TICKS
    for index, image in enumerate(read_video(copy)):
        assert np.abs(image.astype(int) - scene(index)).mean() < 6


def test_a_fixed_rate_stays_exact(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4", 12, Fraction(30000, 1001))
    copy = copied(clip, tmp_path / "b.mp4")
    assert video_info(copy).fps == Fraction(30000, 1001)
    assert video_info(copy).frames == 12


def test_the_last_frame_stays_as_long_as_a_mean_one(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "x.mp4", (48, 64), Fraction(25, 7), time_base=Fraction(1, 1000)) as writer:
        writer.write(scene(0), Fraction(0))
        writer.write(scene(1), Fraction(1, 10))
    with av.open(tmp_path / "x.mp4") as container:
        stream = container.streams.video[0]
        assert float(stream.duration * stream.time_base) == pytest.approx(0.1 + 0.28)


def test_times_that_stand_still_are_moved_on(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "x.mp4", (48, 64), 25, time_base=Fraction(1, 1000)) as writer:
        for tick in (0, 40, 40, 20, 100):
            writer.write(scene(tick), Fraction(tick, 1000))
    assert times_ms(tmp_path / "x.mp4") == [0, 40, 41, 42, 100]


@pytest.mark.parametrize(
    ("suffix", "codec"), [("mp4", "aac"), ("mov", "aac"), ("mkv", "aac"), ("ts", "aac"), ("mkv", "libopus"),
                          ("avi", "libmp3lame"), ("mp4", "alac")],
)  # fmt: skip
def test_sound_is_copied_packet_by_packet(suffix: str, codec: str, tmp_path: Path) -> None:
    film = write_film(tmp_path / f"a.{suffix}", codec)
    assert lost_sound(film) == []
    copy = copied(film, tmp_path / "b.mp4")
    before, after = sound_packets(film), sound_packets(copy)
    if suffix == "ts":  # there each packet has a header of 7 bytes (ADTS) that MP4 keeps once for all
        before = [packet[7:] for packet in before]
    assert after == before
    assert len(before) > 20
    level, pitch = loudness(copy, 1.0, 1.5)
    assert level == pytest.approx(20000 / 2**0.5, rel=0.1)
    assert pitch == pytest.approx(300 + 100 * (1.5**2 - 1) / 0.5, rel=0.02)  # of (300 + 100 t) t, from 1 to 1.5
    assert len(list(read_video(copy))) == 50


def test_sound_that_mp4_does_not_take_is_named_and_left_out(tmp_path: Path) -> None:
    film = write_film(tmp_path / "a.avi", "pcm_mulaw", picture="mpeg4")
    assert lost_sound(film) == ["pcm_mulaw"]
    with av.open(copied(film, tmp_path / "b.mp4")) as container:
        assert not container.streams.audio


def test_sound_stops_with_the_pictures_on_ctrl_c(tmp_path: Path) -> None:
    film = write_film(tmp_path / "a.mp4")

    def stop_after(frames: int) -> None:
        info = video_info(film)
        with VideoWriter(tmp_path / "b.mp4", info.size_hw, 25, time_base=info.time_base, sound=Sound(film)) as writer:
            for frame in video_frames(film):
                if frame.index == frames:
                    raise KeyboardInterrupt
                writer.write(frame.image, frame.time_s)

    with pytest.raises(KeyboardInterrupt):
        stop_after(20)
    assert times_ms(tmp_path / "b.mp4") == list(range(0, 800, 40))
    with av.open(tmp_path / "b.mp4") as container:
        audio = container.streams.audio[0]
        assert audio.duration * audio.time_base == pytest.approx(0.8, abs=0.05)


ALL_TICKS = list(range(0, 2000, 40))


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts", "avi", "webm"])
@pytest.mark.parametrize(
    ("cut", "expected"),
    [
        (Cut(), ALL_TICKS),
        (Cut(every=7), ALL_TICKS[::7]),
        (Cut(start_s=0.7), ALL_TICKS[18:]),
        (Cut(start_s=0.72, end_s=1.0), ALL_TICKS[18:25]),
        (Cut(end_s=0.1), ALL_TICKS[:3]),
        (Cut(start_s=1.1, end_s=1.9, every=3), ALL_TICKS[28:48:3]),
        (Cut(start_s=1.9, end_s=99), ALL_TICKS[48:]),
    ],
)
def test_a_cut_takes_the_frames_of_the_whole(suffix: str, cut: Cut, expected: list[int], tmp_path: Path) -> None:
    picture = {"avi": "mpeg4", "webm": "libvpx"}.get(suffix, "libx264")
    film = write_film(tmp_path / f"a.{suffix}", None, picture=picture)
    assert times_ms(film, cut) == expected
    whole = {round(1000 * frame.time_s): frame.image for frame in video_frames(film)}
    for number, frame in enumerate(video_frames(film, cut)):
        assert frame.index == number * cut.every
        np.testing.assert_array_equal(frame.image, whole[round(1000 * frame.time_s)])
    assert video_info(film).frames_in(cut) == pytest.approx(len(expected), abs=1)


def test_the_sound_of_a_cut_is_that_of_its_pictures(tmp_path: Path) -> None:
    film = write_film(tmp_path / "a.mp4")
    copy = copied(film, tmp_path / "b.mp4", Cut(start_s=1.0, end_s=1.6))
    assert times_ms(copy) == list(range(0, 600, 40))
    with av.open(copy) as container:
        audio = container.streams.audio[0]
        assert audio.duration * audio.time_base == pytest.approx(0.6, abs=0.05)
    assert loudness(copy, 0.1, 0.5)[1] == pytest.approx(loudness(film, 1.1, 1.5)[1], rel=0.02)
    assert sound_packets(copy) == [packet for packet in sound_packets(film) if packet in set(sound_packets(copy))]


def test_a_cut_after_the_end_is_one_line(tmp_path: Path) -> None:
    film = write_film(tmp_path / "a.mp4", None)
    with pytest.raises(InputError, match=r"a\.mp4: no frame from 5 s on; it is 2\.00 s long"):
        list(video_frames(film, Cut(start_s=5)))


@pytest.mark.parametrize(
    ("values", "word"),
    [({"every": 0}, "every 0"), ({"start_s": -1}, "start -1"), ({"start_s": float("nan")}, "start nan"),
     ({"end_s": 0}, "end 0"), ({"start_s": 3, "end_s": 3}, "end 3")],
)  # fmt: skip
def test_cuts_that_take_nothing_are_refused(values: dict[str, float], word: str) -> None:
    with pytest.raises(UsageError, match=word):
        Cut(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize("damage", ["header", "packets", "both"])
@pytest.mark.parametrize("suffix", ["ts", "mkv", "mp4", "avi"])
def test_damage_in_the_sound_costs_no_picture(suffix: str, damage: str, tmp_path: Path) -> None:
    is_avi = suffix == "avi"
    film = write_film(
        tmp_path / f"a.{suffix}", "libmp3lame" if is_avi else "aac", picture="mpeg4" if is_avi else "libx264"
    )
    with av.open(film) as container:
        packets = [packet for packet in container.demux(audio=0) if packet.size and packet.pos]
        places = [(packet.pos, packet.size) for packet in packets]
    data = bytearray(film.read_bytes())
    if damage in ("packets", "both"):
        for at, size in places[len(places) // 2 :]:
            kept = {"ts": 4, "mkv": 16, "mp4": 0, "avi": 8}[suffix]  # what is the container's, as far as is known
            data[at + kept : at + size] = b"\x5a" * (size - kept)
    if damage in ("header", "both"):
        data = data.replace(b"mp4a", b"\xff\xf1zz").replace(b"A_AAC", b"A_XYZ").replace(b"01wb", b"01xx")
    film.write_bytes(data)
    frames = []
    with suppress(InputError):  # in MPEG-TS the pictures may suffer, too
        for frame in video_frames(film):
            frames.append(frame)
    assert len(frames) > 40
    info = video_info(film)
    copy = tmp_path / "b.mp4"
    with VideoWriter(copy, info.size_hw, info.fps, time_base=info.time_base, sound=Sound(film)) as writer:
        for frame in frames:
            writer.write(frame.image, frame.time_s)
    times = np.array(times_ms(copy))  # from the first of pictures and sound: without sound, from the pictures
    shown = np.maximum.accumulate([round(1000 * frame.time_s) for frame in frames])
    assert np.abs((times - times[0]) - (shown - shown[0])).max() <= 1
    assert [path.name for path in tmp_path.iterdir() if path != film] == ["b.mp4"]


def test_sound_that_cannot_be_had_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    film = write_film(tmp_path / "a.mp4")
    monkeypatch.setattr("bcpnet.media.video.sound._fits", lambda *_: 1 / 0)
    with VideoWriter(tmp_path / "b.mp4", (48, 64), 25, sound=Sound(film)) as writer:
        for image in read_video(film):
            writer.write(image)
    assert writer.lost_sound
    assert len(list(read_video(tmp_path / "b.mp4"))) == 50
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", "b.mp4"]
