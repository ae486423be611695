"""What inputs stand for, and the units they are cut into."""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path, PurePosixPath

import pytest
from media_files import write_clip

pytest.importorskip("pyarrow", reason="batches need pyarrow: .[batch]")

from archives import write_archive

from bcpnet.errors import InputError, UsageError
from bcpnet.prediction.batch.files import copy_there, expand, joined, list_folder, read_bytes
from bcpnet.prediction.batch.units import UNIT_IMAGES, Item, find_items, units_of


def test_folders_globs_lists_and_addresses_name_the_same_files(tmp_path: Path) -> None:
    folder = write_archive(tmp_path / "in")
    names = [path for path in sorted(folder.iterdir()) if path.name not in ("notes.md", ".hidden.png")]
    (tmp_path / "list.txt").write_text("".join(f"{name}\n\n" for name in reversed(names)))
    expected = find_items([str(folder)])
    assert list(dict.fromkeys(item.path for item in expected)) == [str(name) for name in names]
    for source in (f"{folder}/*", f"{tmp_path}/**/*.*", str(tmp_path / "list.txt")):
        assert find_items([source]) == expected, source
    assert find_items([str(names[0]), str(folder), str(names[0])]) == expected
    by_address = find_items([folder.as_uri()])
    assert {item.path for item in by_address} == {name.as_uri() for name in names}


def test_globs_match_as_those_of_python(tmp_path: Path) -> None:
    for name in ("a.png", "b1.png", "b2.png", "x/a.png", "x/y/a.png", "x/y/[1].png", "x/y/a.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    for pattern in ("*.png", "b?.png", "b[!1].png", "**/*.png", "x/**/a.*", "x/*/a.png", "**/y/*", "*/[xy]/a.png"):
        expected = sorted(str(path) for path in tmp_path.glob(pattern) if path.is_file())
        assert expand(f"{tmp_path}/{pattern}") == expected, pattern
    assert expand(f"{tmp_path}/x/y/[1].png") == [f"{tmp_path}/x/y/[1].png"]


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file or directory"):
        find_items([str(tmp_path / "gone.png")])
    with pytest.raises(InputError, match="no images, videos, tar or Parquet files"):
        find_items([str(tmp_path)])
    with pytest.raises(InputError, match="no images, videos, tar or Parquet files"):
        find_items([f"{tmp_path}/*.png"])
    with pytest.raises(UsageError, match="not an address that pyarrow reads"):
        find_items(["gopher://here/there"])
    assert list_folder(str(tmp_path / "gone")) == []


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_names_that_are_no_utf8_are_found_beside_the_others(tmp_path: Path) -> None:
    odd = os.fsdecode(os.fsencode(tmp_path) + b"/a\xff.jpg")
    for name in (odd, f"{tmp_path}/plain.jpg"):
        Path(name).touch()
    for source in (f"{tmp_path}", f"{tmp_path}/*.jpg", f"{tmp_path}/**/*.jpg"):
        assert {item.path for item in find_items([source])} == {odd, f"{tmp_path}/plain.jpg"}
    assert [item.path for item in find_items([odd])] == [odd]


def test_units_hold_each_item_once_and_do_not_depend_on_the_order() -> None:
    items = [Item(f"/in/{number:04d}.png") for number in range(3 * UNIT_IMAGES + 1)]
    items += [Item("/in/clip.mp4", 0, 20), Item("/in/clip.mp4", 20), Item("/in/a.tar")]
    units = units_of(items)
    assert sorted(str(item) for unit in units for item in unit.items) == sorted(map(str, items))
    assert [len(unit.items) for unit in units] == [UNIT_IMAGES] * 3 + [1] * 4
    digests = {unit.digest({"weights": "a"}) for unit in units}
    assert len(digests) == len(units)
    assert digests.isdisjoint(unit.digest({"weights": "b"}) for unit in units)


def test_inputs_in_any_order_give_the_same_units(tmp_path: Path) -> None:
    folder = write_archive(tmp_path / "in")
    names = [str(path) for path in folder.iterdir() if path.suffix in (".png", ".mp4", ".tar", ".parquet")]
    expected = units_of(find_items(names))
    random.Random(0).shuffle(names)
    assert units_of(find_items(names)) == expected


def test_videos_are_cut_to_their_end(tmp_path: Path) -> None:
    for frames, expected in ((10, 1), (20, 1), (21, 2), (61, 4)):
        clip = str(write_clip(tmp_path / f"{frames}.mp4", frames, fps=1))
        parts = find_items([clip])
        ends = [part.end for part in parts]
        assert [part.start for part in parts] == [20 * number for number in range(expected)]
        assert ends == [*(20 * number for number in range(1, expected)), None]


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("s3://b/a.MP4?region=x", "video"),
        ("/a/b.tar.gz", "tar"),
        ("/a/b.parquet", "parquet"),
        ("/a/b", "image"),
        ("s3://b/a.tar", "tar"),
    ],
)
def test_kinds(path: str, kind: str) -> None:
    assert Item(path).kind == kind


def test_an_address_keeps_its_options(tmp_path: Path) -> None:
    assert joined("s3://bucket/a?region=x", "b") == "s3://bucket/a/b?region=x"
    assert joined("/what?a=b/", "b") == "/what?a=b/b"
    source = tmp_path / "source"
    source.write_bytes(b"content")
    address = (tmp_path / "new folder" / "copy").as_uri().replace("%20", " ")  # plain text
    with source.open("rb") as file:
        copy_there(file, address)
    assert read_bytes(address) == (tmp_path / "new folder" / "copy").read_bytes() == b"content"
    assert PurePosixPath(address).name == "copy"
