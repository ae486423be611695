"""What sources name, what their outputs are called, and how frames come out of them."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from media_files import noise, write_clip
from PIL import Image

from bcpnet.errors import InputError
from bcpnet.media.sources import (
    BadFrame,
    Frame,
    _unique_stems,
    find_media,
    frames,
    is_own_result,
    read_image,
    read_video,
    save_class_map,
    save_image,
)
from bcpnet.media.video import is_video


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Names only; finding does not open files."""
    for name in (
        "frame10.png", "frame2.PNG", "frame1.jpg", ".hidden.png", "notes.txt", "clip.mp4", "a[1].png",
        "deep/er/x.png", "deep/x.png", "empty/readme.md",
    ):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        (["."], "a[1].png clip.mp4 frame1.jpg frame2.PNG frame10.png"),
        (["frame*"], "frame1.jpg frame2.PNG frame10.png"),
        (["*"], "a[1].png clip.mp4 frame1.jpg frame2.PNG frame10.png"),
        (["**/x.png"], "deep/er/x.png deep/x.png"),
        (["a[1].png"], "a[1].png"),
        (["clip.mp4", "frame10.png", "frame1.jpg"], "clip.mp4 frame10.png frame1.jpg"),
        (["frame10.png", "./frame10.png", "frame*", "deep/../frame2.PNG"], "frame10.png frame1.jpg frame2.PNG"),
        (["notes.txt"], "notes.txt"),
    ],
)
def test_what_sources_name(tree: Path, sources: list[str], expected: str) -> None:
    items = find_media(sources)
    assert [item.path.as_posix() for item in items] == expected.split()
    assert [item.is_video for item in items] == [item.path.suffix == ".mp4" for item in items]
    absolute = find_media([tree / source for source in sources])
    assert [item.path.relative_to(tree).as_posix() for item in absolute if ".." not in item.path.parts] == [
        item.path.as_posix() for item in items if ".." not in item.path.parts
    ]


@pytest.mark.parametrize("source", ["none.png", "none/", "none*.png", "empty", "empty/*", "*.txt"])
def test_sources_that_give_nothing(tree: Path, source: str) -> None:
    with pytest.raises(InputError, match=f"^{source.replace('*', '[*]')}: [^\n]+$"):
        find_media([tree / "frame1.jpg", source])


@pytest.mark.parametrize(("source", "message"), [("", "^an empty name: "), ("a\0b", "null"), ("x" * 5000, "too long")])
@pytest.mark.usefixtures("tree")
def test_names_that_no_file_can_have(source: str, message: str) -> None:
    """A variable of a shell that is not set is not the folder one is in."""
    with pytest.raises(InputError, match=f"(?i){message}"):
        find_media([source])
    assert not is_video(Path(f"{source}\0"))


@pytest.mark.parametrize(
    ("paths", "stems"),
    [
        ("x.png y.png", "x y"),
        ("a/x.png b/x.png", "a_x b_x"),
        ("x.jpg x.png", "x_jpg x_png"),
        ("a/x.jpg a/x.png b/x.png", "a_x_jpg a_x_png b_x"),
        ("00/left/1.png 01/left/1.png", "00_left_1 01_left_1"),
        ("x.png a/x.png", "x a_x"),
        ("a_x.png a/x.png b/x.png", "a_x a_x_2 b_x"),
        ("a/X.png b/x.png", "a_X b_x"),
        ("clip.mp4 clip.png", "clip_mp4 clip_png"),
        ("clip_000003.png clip.mp4", "clip_000003 clip_2"),
        ("clip.mp4 clip_000003.png", "clip clip_000003_2"),
    ],
)
def test_stems(tmp_path: Path, paths: str, stems: str) -> None:
    files = [tmp_path / path for path in paths.split()]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    assert [item.stem for item in find_media(files)] == stems.split()
    assert {item.path: item.stem for item in find_media(files[::-1])}.keys() == set(files)


ANY_FILE = st.builds(
    "/data/{}{}{}".format,
    st.sampled_from(["", "a/", "b/", "a/x/", "b/x/"]),
    st.sampled_from(["x", "X", "a_x", "x_2", "x_000001", "x_png", "b"]),
    st.sampled_from([".png", ".jpg", ".mp4", ""]),
).map(Path)


@given(st.lists(ANY_FILE, unique=True, max_size=8))
@settings(max_examples=300)
def test_stems_are_unique_on_any_file_system(chosen: list[Path]) -> None:
    stems = _unique_stems([(path, path.suffix == ".mp4") for path in chosen])
    outputs = [
        f"{stem}{frame}".casefold()
        for path, stem in zip(chosen, stems, strict=True)
        for frame in (["", "_000000", "_000001"] if path.suffix == ".mp4" else [""])
    ]
    assert len(set(outputs)) == len(outputs)
    assert all(path.stem.casefold() in stem.casefold() for path, stem in zip(chosen, stems, strict=True))


def write_raw(path: Path, container_format: str, codec: str = "libx264") -> Path:
    with av.open(path, "w", format=container_format) as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for index in range(4):
            frame = av.VideoFrame.from_ndarray(noise(48, 64), format="rgb24")
            frame.pts = index
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def test_videos_are_known_by_what_is_in_them(tmp_path: Path) -> None:
    write_raw(tmp_path / "a.m2ts", "mpegts")
    write_raw(tmp_path / "b.flv", "flv")
    write_raw(tmp_path / "c.3gp", "3gp")
    write_raw(tmp_path / "d.h264", "h264")
    write_raw(tmp_path / "e", "matroska")
    write_raw(tmp_path / "f.jpg", "mp4")
    write_raw(tmp_path / "g.mp3", "avi", "mpeg4")
    write_raw(tmp_path / "j.mjpeg", "mjpeg", "mjpeg")
    videos = {path.name for path in tmp_path.iterdir()}
    save_image(tmp_path / "h.png", noise(8, 8))
    Image.fromarray(noise(8, 8)).save(tmp_path / "i.avif")
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "labels.txt").write_text("0 0.5 0.5 0.1 0.1\n" * 100)
    (tmp_path / "straße.json").write_text('{"name": "' + "ß" * 1000 + '"}')
    save_image(tmp_path / "photo.jpg", noise(48, 64))
    jpeg = (tmp_path / "photo.jpg").read_bytes()
    (tmp_path / "photo.jpg").unlink()
    (tmp_path / "report.pdf").write_bytes(
        b"%PDF-1.4\n%\xff\xff\n1 0 obj\nstream\n" + 3 * jpeg + b"\nendstream\n%%EOF\n"
    )
    (tmp_path / "data.npy").write_bytes(np.random.default_rng(0).bytes(50_000))
    items = find_media([tmp_path])
    assert {item.path.name for item in items if item.is_video} == videos | {"empty.mp4"}
    assert {item.path.name for item in items if not item.is_video} == {"h.png", "i.avif"}
    assert [item for path in tmp_path.iterdir() for item in find_media([path]) if item.is_video] == [
        item for path in tmp_path.iterdir() for item in items if item.path == path and item.is_video
    ]  # as well where each is named itself
    good = [frame for frame in frames(items) if isinstance(frame, Frame)]
    assert len(good) == 4 * len(videos) + 2


def test_music_with_a_cover_is_no_video(tmp_path: Path) -> None:
    with av.open(tmp_path / "a.mp3", "w") as container:
        cover, sound = container.add_stream("png", rate=1), container.add_stream("libmp3lame", rate=44100)
        cover.width, cover.height, cover.pix_fmt = 32, 32, "rgb24"
        cover.disposition = 1 << 10  # attached_pic
        container.mux(cover.encode(av.VideoFrame.from_ndarray(noise(32, 32), format="rgb24")))
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 44100), np.int16), format="s16", layout="mono")
        samples.sample_rate = 44100
        container.mux([*cover.encode(None), *sound.encode(samples), *sound.encode(None)])
    assert not is_video(tmp_path / "a.mp3")
    with pytest.raises(InputError, match="no images or videos"):
        find_media([tmp_path])


def test_nobody_waits_for_a_pipe_in_a_folder_or_for_a_video(tmp_path: Path) -> None:
    if not hasattr(os, "mkfifo"):
        pytest.skip("no named pipes on this system")
    os.mkfifo(tmp_path / "pipe")
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(InputError, match="no images or videos"):
        find_media([tmp_path])
    (bad,) = frames(find_media([tmp_path / "pipe.mp4"]))
    assert isinstance(bad, BadFrame)
    assert "not a regular file" in str(bad.error)


def test_what_macos_and_notebooks_leave_beside_images(tmp_path: Path) -> None:
    for name in ("a/1.png", "a/._1.png", "a/.ipynb_checkpoints/1-checkpoint.png", "a/.DS_Store"):
        save_image(tmp_path / "x.png", noise(8, 8))
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "x.png").rename(tmp_path / name)
    for source in ("a", "a/*", "**/*.png", "a/**/*.png", "a/**"):
        assert [item.path.name for item in find_media([tmp_path / source])] == ["1.png"], source


def test_what_is_missing_is_told_where_asked_for(tmp_path: Path) -> None:
    save_image(tmp_path / "x.png", noise(8, 8))
    told: list[tuple[str, InputError]] = []
    sources = [str(tmp_path / "none.png"), str(tmp_path / "x.png"), str(tmp_path / "*.gif")]
    items = find_media(sources, lambda source, error: told.append((source, error)))
    assert [item.path.name for item in items] == ["x.png"]
    assert [source for source, _ in told] == [sources[0], sources[2]]
    assert all(str(error).startswith(source) for source, error in told)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".mp4"])
def test_own_results_bear_a_mark(suffix: str, tmp_path: Path) -> None:
    own, foreign = tmp_path / f"own{suffix}", tmp_path / f"foreign{suffix}"
    if suffix == ".mp4":
        write_clip(own)
        write_raw(foreign, "mp4")
    else:
        save_image(own, noise(8, 8))
        Image.fromarray(noise(8, 8)).save(foreign)
    assert is_own_result(own)
    assert not is_own_result(foreign)
    for data in (b"", own.read_bytes()[:20], b"bcpnet" * 100):
        foreign.write_bytes(data)
        assert not is_own_result(foreign)
    assert not is_own_result(tmp_path)


@pytest.mark.parametrize("palette", [None, np.zeros((256, 3), np.uint8)])
@pytest.mark.parametrize("in_c", [True, False])
def test_class_maps_bear_a_mark(
    palette: np.ndarray | None, in_c: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not in_c:
        monkeypatch.setattr("bcpnet.native.library", lambda: None)
    save_class_map(tmp_path / "x.png", noise(30, 40)[:, :, 0], palette)
    assert is_own_result(tmp_path / "x.png")


def test_frames_go_on_after_a_bad_file(tmp_path: Path) -> None:
    save_image(tmp_path / "1.png", noise(3, 4))
    (tmp_path / "2.png").write_text("not a picture")
    write_clip(tmp_path / "3.mp4", 2)
    save_image(tmp_path / "4.png", noise(5, 6))
    delivered = list(frames(find_media([tmp_path / "*"])))
    assert [type(frame) for frame in delivered] == [Frame, BadFrame, Frame, Frame, Frame]
    good = [frame for frame in delivered if isinstance(frame, Frame)]
    assert [(frame.item.path.name, frame.index, frame.stem) for frame in good] == [
        ("1.png", 0, "1"), ("3.mp4", 0, "3_000000"), ("3.mp4", 1, "3_000001"), ("4.png", 0, "4"),
    ]  # fmt: skip
    assert all(frame.decode_ms > 0 for frame in good)
    np.testing.assert_array_equal(good[0].image, read_image(tmp_path / "1.png"))


def test_frames_are_decoded_one_at_a_time(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "x.mp4", 10)
    items = find_media([path])
    path.with_name("late.png").write_text("broken")
    first_two = list(itertools.islice(frames(items), 2))
    assert [frame.stem for frame in first_two if isinstance(frame, Frame)] == ["x_000000", "x_000001"]


def test_file_where_the_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("in the way")
    for write in (
        lambda path: save_image(path, noise(2, 2)),
        lambda path: save_class_map(path, noise(2, 2)[:, :, 0], np.zeros((256, 3), np.uint8)),
        lambda path: write_clip(path.with_suffix(".mp4")),
    ):
        with pytest.raises(InputError, match="cannot write"):
            write(tmp_path / "out" / "x.png")
    assert (tmp_path / "out").read_text() == "in the way"


def test_a_video_cut_off_gives_its_frames_then_the_error(tmp_path: Path) -> None:
    whole = write_clip(tmp_path / "x.mp4", 30)
    expected = list(read_video(whole))
    data = whole.read_bytes()
    whole.write_bytes(data[: len(data) * 3 // 5])
    *good, last = frames(find_media([whole]))
    assert 5 < len(good) < 30
    for index, frame in enumerate(good):
        assert isinstance(frame, Frame)
        assert (frame.index, frame.stem) == (index, f"x_{index:06d}")
        if index < len(good) - 1:  # the very last may lack its end
            np.testing.assert_array_equal(frame.image, expected[index])
    assert isinstance(last, BadFrame)
    assert str(last.error).startswith(f"{whole}: ")
