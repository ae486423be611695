"""What tar and Parquet files hold, whole and damaged."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

import pytest
from media_files import noise, write_clip
from PIL import Image

pytest.importorskip("pyarrow", reason="batches need pyarrow: .[batch]")

import pyarrow as pa
import pyarrow.parquet as pq

from bcpnet.errors import InputError
from bcpnet.prediction.batch.contents import batches
from bcpnet.prediction.batch.units import UNIT_ROWS, Item, Unit, find_items, units_of


def picture() -> bytes:
    data = io.BytesIO()
    Image.fromarray(noise(8, 8)).save(data, "PNG")
    return data.getvalue()


def found(path: Path, *items: Item) -> tuple[dict[str, bytes], list[str]]:
    """Pictures by name, and errors."""
    contents: dict[str, bytes] = {}
    errors = []
    for unit in units_of(items or find_items([str(path)])):
        for batch in batches(unit):
            if isinstance(batch, InputError):
                errors.append(str(batch))
            else:
                assert not contents.keys() & set(batch["path"])
                contents |= dict(zip(batch["path"], batch["bytes"], strict=True))
    return contents, errors


def write_tar(path: Path, members: dict[str, bytes]) -> bytes:
    with tarfile.open(path, "w") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        link = tarfile.TarInfo("link.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    return path.read_bytes()


def test_tar_files(tmp_path: Path) -> None:
    pictures = {"a/0.png": picture(), "1.PNG": picture(), "clip.mp4": write_clip(tmp_path / "c.mp4", 2).read_bytes()}
    path = tmp_path / "x.tar"
    content = write_tar(path, {**pictures, "0.json": b"{}"})
    expected = {f"{path}#{name}": data for name, data in pictures.items()}
    assert found(path) == (expected, [])
    packed = tmp_path / "x.tar.gz"
    packed.write_bytes(gzip.compress(content))
    assert found(packed)[0] == {name.replace("x.tar#", "x.tar.gz#"): data for name, data in expected.items()}


@pytest.mark.parametrize("kind", ["cut", "cut gzip", "noise", "empty", "gone"])
def test_damaged_tar_files(tmp_path: Path, kind: str) -> None:
    path = tmp_path / ("x.tar.gz" if kind == "cut gzip" else "x.tar")
    content = write_tar(tmp_path / "whole.tar", {f"{number}.png": noise(40, 40).tobytes() for number in range(4)})
    if kind != "gone":
        path.write_bytes(
            {
                "cut": content[:7000],
                "cut gzip": gzip.compress(content)[:9000],
                "noise": noise(40, 40).tobytes(),
                "empty": b"",
            }[kind]
        )
    contents, errors = found(path, Item(str(path)))
    assert len(errors) == 1
    assert errors[0].startswith(f"{path}: ")
    assert len(contents) == (1 if kind.startswith("cut") else 0)


def test_parquet_files(tmp_path: Path) -> None:
    pictures = [picture() for _ in range(2 * UNIT_ROWS + 5)]
    plain, nested = tmp_path / "plain.parquet", tmp_path / "nested.parquet"
    pq.write_table(pa.table({"id": range(len(pictures)), "jpg": pictures}), plain, row_group_size=50)
    images = [{"bytes": content, "path": None} for content in pictures]
    names = [f"{number}.png" for number in range(len(pictures))]
    pq.write_table(pa.table({"image": images, "path": names}), nested, row_group_size=7)
    assert len(units_of(find_items([str(plain)]))) == 2  # of three row groups each, and the rest
    assert found(plain) == ({f"{plain}#{number}": content for number, content in enumerate(pictures)}, [])
    assert found(nested) == (dict(zip(names, pictures, strict=True)), [])


def test_parquet_files_without_pictures(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"label": [1]}), path)
    assert found(path) == ({}, [f"{path}: no column with the bytes of pictures, only label"])
    pq.write_table(pa.table({"label": [1, 2], "image": [None, b"a"]}), path)
    assert found(path) == ({f"{path}#1": b"a"}, [f"{path}#0: no picture in this row"])
    content = path.read_bytes()
    footer = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    for damaged in (content[:-20], content[:4] + b"\xff" * (footer - 4) + content[footer:], b""):
        path.write_bytes(damaged)
        contents, errors = found(path)
        assert not contents
        assert len(errors) == 1
        assert errors[0].startswith(f"{path}: ")


def test_an_empty_unit_has_nothing() -> None:
    assert list(batches(Unit(()))) == []
