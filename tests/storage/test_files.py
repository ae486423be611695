"""Files are whole or absent, whatever their names, and whatever lies there."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest
from full_disk import full_disk
from hypothesis import given
from hypothesis import strategies as st

from bcpnet.errors import InputError
from bcpnet.storage import files
from bcpnet.storage.files import (
    atomic_path,
    make_folder,
    real_path,
    remove_left_behind,
    remove_unfinished,
    require_file,
    require_writable,
    write_bytes,
)

LONGEST = 255  # bytes, on most file systems


def of_bytes(letter: str, suffix: str) -> str:
    """A name of exactly 255 bytes."""
    count, rest = divmod(LONGEST - len(suffix.encode()), len(letter.encode()))
    return "x" * rest + letter * count + suffix


@pytest.mark.parametrize("letter", ["x", "ß", "字", "🚲", "e\u0301"])
@pytest.mark.parametrize("suffix", ["", ".png", ".safetensors", "." + "s" * 200, ".字字字字字字"])
def test_what_the_file_system_takes_can_be_written(letter: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / of_bytes(letter, suffix)
    assert len(os.fsencode(path.name)) == LONGEST
    for content in (b"first", b"second"):
        write_bytes(path, content)
        assert [(each, each.read_bytes()) for each in tmp_path.iterdir()] == [(path, content)]


@given(st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=255))
def test_any_name_is_written_or_refused(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    folder = tmp_path_factory.mktemp("names")
    path = folder / name
    try:
        path.write_bytes(b"")
        path.unlink()
        fits = True
    except OSError:
        fits = False
    if fits:
        write_bytes(path, b"x")
        assert path.read_bytes() == b"x"
    else:
        with pytest.raises(InputError, match="cannot write: "):
            write_bytes(path, b"x")
    assert len(list(folder.iterdir())) == fits


def test_the_temporary_file_is_beside_it_and_of_the_same_kind(tmp_path: Path) -> None:
    path = tmp_path / "new" / "video.mp4"
    with atomic_path(path) as first, atomic_path(path) as second:
        assert first != second
        for temporary in (first, second):
            assert (temporary.parent, temporary.suffix, temporary.name[0]) == (path.parent, ".mp4", ".")
            temporary.write_bytes(temporary.name.encode())
    assert path.read_bytes() == first.name.encode()  # who ends last
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("x" * 256, "name too long"),
        ("folder", "a folder has this name"),
        ("pipe", "not a regular file"),
        ("file/x", "file is not a folder"),
        ("file/x/y", "file is not a folder"),
        ("dangling/x", "dangling is not a folder"),
        (".", "a folder has this name"),
        ("..", "a folder has this name"),
        ("/dev/null", "not a regular file"),
        ("a\0b", "no file can have that name"),
        ("folder/a.\udcff\ud800", "no file can have that name"),
    ],
)
def test_what_cannot_be_written_is_told_before_the_work(name: str, why: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"kept")
    (tmp_path / "dangling").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(InputError, match=f"(?i)cannot write: .*{why}"), atomic_path(tmp_path / name):
        pytest.fail("too late")
    with pytest.raises(InputError, match=f"(?i)cannot write: .*{why}"):
        require_writable(tmp_path / name)
    require_writable(tmp_path / "new" / "folder" / "file")
    assert sorted(tmp_path.iterdir()) == before
    assert (tmp_path / "file").read_bytes() == b"kept"


def test_what_is_no_file_to_be_read_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "circle").symlink_to("circle")
    for name in ("file", "link"):
        require_file(tmp_path / name)
    for name, why in {
        "none": "no such file", "": "not a file", "file/x": "cannot read: Not a directory", "x" * 256: "name too long",
        "circle": "cannot read: ", "a\0b": "cannot read: embedded null byte",
    }.items():  # fmt: skip
        with pytest.raises(InputError, match=f"(?i): .*{why}"):
            require_file(tmp_path / name)


def test_a_block_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"before")
    with pytest.raises(ZeroDivisionError), atomic_path(path) as temporary:
        print(temporary.write_bytes(b"half") / 0)
    with full_disk(), pytest.raises(InputError, match="x: cannot write: "):
        write_bytes(path, bytes(10**6))
    assert [each.read_bytes() for each in tmp_path.iterdir()] == [b"before"]


def test_what_is_unfinished_can_be_removed(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        stack.enter_context(atomic_path(tmp_path / "x")).write_bytes(b"half")
        remove_unfinished()
        assert not list(tmp_path.iterdir())
        with pytest.raises(InputError, match="x: cannot write: No such file"):
            stack.close()
    assert not files._unfinished


def test_what_a_killed_process_left_can_be_removed(tmp_path: Path) -> None:
    kept = {"x.pt", ".x.pt", ".bcpnet-notes.pt", ".bcpnet-0123456789abcdef.png"}
    for name in (*kept, ".bcpnet-0123456789abcdef.pt"):
        (tmp_path / name).touch()
    remove_left_behind(tmp_path, [".pt"])
    assert {path.name for path in tmp_path.iterdir()} == kept
    with atomic_path(tmp_path / "y.pt") as temporary:
        temporary.touch()
        remove_left_behind(tmp_path, [".pt"])
        assert not temporary.exists()
        temporary.touch()


def test_a_real_path_is_that_of_the_file_and_links_in_a_circle_have_one(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "loop").symlink_to("loop")
    assert real_path(tmp_path / "link") == real_path(tmp_path / "file") == (tmp_path / "file").resolve()
    assert real_path(tmp_path / "loop" / "x").name == "x"


def test_a_folder_that_others_remove_meanwhile_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make, there = os.mkdir, []

    def make_late(path: Path, mode: int = 0o777) -> None:
        if not there:
            there.append(path)
            raise FileExistsError  # and it is gone when looked at
        make(path, mode)

    monkeypatch.setattr(os, "mkdir", make_late)
    make_folder(tmp_path / "a")
    assert (tmp_path / "a").is_dir()


def test_a_file_in_the_way_of_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    with pytest.raises(NotADirectoryError, match="a is not a folder"):
        make_folder(tmp_path / "a" / "b")
