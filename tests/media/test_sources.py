"""What sources name, what their outputs are called, and how frames come out of them."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from media_files import noise, write_clip

from bcpnet.errors import InputError
from bcpnet.media.sources import (
    BadFrame,
    Frame,
    _unique_stems,
    find_media,
    frames,
    read_image,
    read_video,
    save_class_map,
    save_image,
)


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
@settings(max_examples=300, deadline=None)
def test_stems_are_unique_on_any_file_system(chosen: list[Path]) -> None:
    stems = _unique_stems(chosen)
    outputs = [
        f"{stem}{frame}".casefold()
        for path, stem in zip(chosen, stems, strict=True)
        for frame in (["", "_000000", "_000001"] if path.suffix == ".mp4" else [""])
    ]
    assert len(set(outputs)) == len(outputs)
    assert all(path.stem.casefold() in stem.casefold() for path, stem in zip(chosen, stems, strict=True))


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
