"""Frames into H.264 and out again; broken, cut, turned and trimmed files; nothing half-written."""

from __future__ import annotations

import io
import os
import signal
import struct
import time
import wave
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from media_files import no_file_above, noise, scene, write_clip

from bcpnet.errors import InputError, UsageError
from bcpnet.media.video import VideoWriter, encode, read_video, video_info


@pytest.mark.parametrize("fps", [25, 12.5, Fraction(30000, 1001), 1, Fraction(1, 60), 1000])
def test_video_round_trip(tmp_path: Path, fps: Fraction | float) -> None:
    path = write_clip(tmp_path / "new" / "x.mp4", 12, fps)
    info = video_info(path)
    assert (info.fps, info.size_hw, info.frames) == (Fraction(fps), (48, 64), 12)
    read = list(read_video(path))
    assert len(read) == 12
    for index, image in enumerate(read):
        assert image.flags.c_contiguous
        assert np.abs(image.astype(int) - scene(index)).mean() < 4
    assert [entry.name for entry in path.parent.iterdir()] == ["x.mp4"]


def test_colours_survive_the_codec(tmp_path: Path) -> None:
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (128, 64, 128), (255, 255, 255), (0, 0, 0)]
    with VideoWriter(tmp_path / "x.mp4", (32, 32), 1) as writer:
        for colour in colours:
            writer.write(np.full((32, 32, 3), colour, np.uint8))
    for colour, image in zip(colours, read_video(tmp_path / "x.mp4"), strict=True):
        assert np.abs(image[16, 16].astype(int) - colour).max() <= 4


def test_the_caller_may_reuse_its_array(tmp_path: Path) -> None:
    image = np.empty((48, 64, 3), np.uint8)
    with VideoWriter(tmp_path / "x.mp4", (48, 64), 25) as writer:
        for level in range(0, 250, 10):
            image[:] = level
            writer.write(image)
    for level, frame in zip(range(0, 250, 10), read_video(tmp_path / "x.mp4"), strict=True):
        assert np.abs(frame.astype(int) - level).max() <= 3


@pytest.mark.parametrize("layout", [np.asfortranarray, lambda image: np.repeat(image, 2, axis=1)[:, ::2]])
def test_any_memory_layout_is_written(tmp_path: Path, layout: Callable[[Any], Any]) -> None:
    image = layout(scene(3))
    image.flags.writeable = False
    with VideoWriter(tmp_path / "x.mp4", (48, 64), 25) as writer:
        writer.write(image)
    assert np.abs(next(read_video(tmp_path / "x.mp4")).astype(int) - image).mean() < 4


@pytest.mark.parametrize("size_hw", [(47, 63), (48, 63), (47, 64), (1, 1)])
def test_odd_sizes_repeat_the_edge(tmp_path: Path, size_hw: tuple[int, int]) -> None:
    path = write_clip(tmp_path / "x.mp4", 3, 25, size_hw)
    height, width = size_hw
    even_hw = (height + height % 2, width + width % 2)
    assert video_info(path).size_hw == even_hw
    image = next(read_video(path)).astype(int)
    padded = np.pad(scene(0, *size_hw), ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    assert np.abs(image - padded).mean() < 4


def top_level_boxes(data: bytes) -> list[bytes]:
    """ISO 14496-12, 4.2: size (4 bytes), type (4 bytes)."""
    names, at = [], 0
    while at < len(data):
        size, name = struct.unpack(">I4s", data[at : at + 8])
        names.append(name)
        at += size
    return names


def test_a_browser_plays_it(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "x.mp4")
    boxes = top_level_boxes(path.read_bytes())
    assert boxes.index(b"moov") < boxes.index(b"mdat")
    with av.open(str(path)) as container:
        context = container.streams.video[0].codec_context
        assert (context.name, context.pix_fmt) == ("h264", "yuv420p")


def test_a_trimmed_video_is_not_a_damaged_one(tmp_path: Path) -> None:
    data = bytearray(write_clip(tmp_path / "x.mp4", 20).read_bytes())
    edit = data.index(b"elst") + 12  # ISO 14496-12, 8.6.6: duration in the movie's milliseconds, first media time
    data[edit : edit + 4] = struct.pack(">I", 400)
    (tmp_path / "x.mp4").write_bytes(data)
    assert len(list(read_video(tmp_path / "x.mp4"))) == video_info(tmp_path / "x.mp4").frames == 10


def wav() -> bytes:
    data = io.BytesIO()
    with wave.open(data, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(bytes(16000))
    return data.getvalue()


def test_bad_videos_are_one_line_that_names_them(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "good.mp4").read_bytes()
    header = clip.index(b"mdat") + 4
    cases = {
        "empty": (b"", "empty file"),
        "text": (b"words, words, words\n" * 20, "cannot be read as a video"),
        "no_index": (clip[:60], "has no video stream"),
        "no_frames": (clip[:header], "without frames"),
        "sound": (wav(), "no video stream"),
        "codec": (clip.replace(b"avc1", b"zzzz"), "codec"),
    }
    for name, (data, reason) in cases.items():
        path = tmp_path / f"{name}.mp4"
        path.write_bytes(data)
        for read in (video_info, lambda path: list(read_video(path))):
            with pytest.raises(InputError) as caught:
                read(path)
            assert str(caught.value).startswith(f"{path}: "), name
            assert reason in str(caught.value), name
            assert "\n" not in str(caught.value)
    for path, reason in ((tmp_path / "none.mp4", "No such file"), (tmp_path, "directory")):
        with pytest.raises(InputError, match=f"{path}: .*{reason}"):
            video_info(path)


@pytest.mark.parametrize("error", [KeyError("theirs"), BrokenPipeError("theirs"), SystemExit(3)])
def test_an_exception_leaves_no_video_and_passes(tmp_path: Path, error: BaseException) -> None:
    (tmp_path / "x.mp4").write_bytes(b"earlier")

    def write_one_and_fail() -> None:
        with VideoWriter(tmp_path / "x.mp4", (48, 64), 25) as writer:
            writer.write(scene(0))
            raise error

    with pytest.raises(type(error)) as caught:
        write_one_and_fail()
    assert caught.value is error
    assert [path.name for path in tmp_path.iterdir()] == ["x.mp4"]
    assert (tmp_path / "x.mp4").read_bytes() == b"earlier"


def test_ctrl_c_keeps_what_is_written(tmp_path: Path) -> None:
    def write_and_stop(frames: int) -> None:
        with VideoWriter(tmp_path / "x.mp4", (48, 64), 25) as writer:
            for index in range(frames):
                writer.write(scene(index))
            raise KeyboardInterrupt

    for frames in (7, 0):  # of none there is nothing to keep
        with pytest.raises(KeyboardInterrupt):
            write_and_stop(frames)
        assert [path.name for path in tmp_path.iterdir()] == ["x.mp4"]
        assert len(list(read_video(tmp_path / "x.mp4"))) == 7


def test_ctrl_c_while_the_file_is_finished_does_not_lose_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    finish = VideoWriter._finish

    def finish_late(self: VideoWriter, early: bool) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.05)
        finish(self, early)

    monkeypatch.setattr(VideoWriter, "_finish", finish_late)
    with pytest.raises(KeyboardInterrupt):
        write_clip(tmp_path / "x.mp4", 5)
    assert len(list(read_video(tmp_path / "x.mp4"))) == 5


def test_no_frames_no_video(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "x.mp4", (48, 64), 25):
        pass
    assert list(tmp_path.iterdir()) == []


def test_full_disk_leaves_no_video(tmp_path: Path) -> None:
    def write() -> None:
        with VideoWriter(tmp_path / "x.mp4", (96, 128), 25) as writer:
            for _ in range(40):
                writer.write(noise(96, 128))

    with pytest.raises(InputError, match=r"x\.mp4: cannot write"), no_file_above(20_000):
        write()
    assert list(tmp_path.iterdir()) == []


def test_wrong_calls_of_the_writer(tmp_path: Path) -> None:
    for size_hw, fps in (((0, 64), 25), ((48, 64), 0), ((48, 64), -1), ((48, 64), float("nan")), ((48, 64), 1e999)):
        with pytest.raises(UsageError, match=r"x\.mp4"):
            VideoWriter(tmp_path / "x.mp4", size_hw, fps)
    with pytest.raises(UsageError, match="shape"), VideoWriter(tmp_path / "x.mp4", (48, 64), 25) as writer:
        writer.write(scene(0, 64, 48))
    assert list(tmp_path.iterdir()) == []


def test_the_next_encoder_where_one_does_not_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encode, "ENCODERS", {"no_such_encoder": {}, "libx264": {}})
    assert len(list(read_video(write_clip(tmp_path / "x.mp4")))) == 12
    monkeypatch.setattr(encode, "ENCODERS", {"no_such_encoder": {}})
    with pytest.raises(InputError, match=r"no H\.264 encoder .*no_such_encoder"):
        write_clip(tmp_path / "y.mp4")
    assert not (tmp_path / "y.mp4").exists()
