"""`bcpnet batch`: the class maps of `bcpnet predict` in Parquet, resumed, interrupted, and wrong calls."""

from __future__ import annotations

import io
import os
import re
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from command_line import Cli, assert_one_line, bcpnet_process, files
from media_files import scene, write_clip
from PIL import Image

pytest.importorskip("pyarrow", reason="batches need pyarrow: .[batch]")

import pyarrow.dataset as ds
import pyarrow.parquet as pq

from bcpnet.media.images import save_image
from bcpnet.storage.folder_lock import folder_lock


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    for number in range(3):
        save_image(folder / f"{number}.png", scene(number, 60, 80))
    write_clip(folder / "clip.mp4", 22, fps=1)
    return folder


def test_class_maps_are_those_of_predict(cli: Cli, tmp_path: Path, photos: Path) -> None:
    out = tmp_path / "out"
    ran = cli("batch", photos, "--out", out, "--output", "png", "--workers", 2)
    assert ran.code == 0, ran.err
    assert "25 frames in" in ran.out
    assert f"results in {out}" in ran.out
    cli("predict", photos, "--out", tmp_path / "predicted", "--save", "ids")
    rows = ds.dataset(out).to_table().to_pylist()
    assert len(rows) == 25
    for row in rows:
        stem = Path(row["path"]).stem
        name = f"{stem}_{row['frame']:06d}_ids.png" if stem == "clip" else f"{stem}_ids.png"
        predicted = np.asarray(Image.open(tmp_path / "predicted" / name))
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(row["png"]))), predicted)
    shares = {name: float(share) for name, share in re.findall(r"^(\w+) +([\d.]+) %", ran.out, re.MULTILINE)}
    for name, share in shares.items():
        assert share == pytest.approx(100 * np.mean([row["shares"][name] for row in rows]), abs=0.051)
    written = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    again = cli("batch", photos, "--out", out, "--output", "png")
    assert (again.code, again.err) == (0, "")
    assert "5 items done before" in again.out  # three images and two parts of the video
    lost = next(path for path in written if pq.read_metadata(path).num_rows == 3)
    lost.unlink()
    assert "3 frames in" in cli("batch", photos, "--out", out, "--output", "png").out
    assert {path: path.stat().st_mtime_ns for path in out.iterdir() if path != lost} == {
        path: time_ns for path, time_ns in written.items() if path != lost
    }
    other = cli("batch", photos, "--out", out)
    assert other.code == 2
    assert "written with other weights or options: choose another --out" in other.err
    assert_one_line(other.err)


def test_what_cannot_be_read_is_told(cli: Cli, tmp_path: Path, photos: Path) -> None:
    (photos / "1.png").write_text("not a picture")
    ran = cli("batch", photos / "0.png", photos / "1.png", "--out", tmp_path / "out", "--workers", 1)
    assert ran.code == 1
    assert f"bcpnet: {photos / '1.png'}: not an image" in ran.err
    assert "1 row with an error" in ran.out
    assert ds.dataset(tmp_path / "out").to_table().num_rows == 2


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_names_that_are_no_utf8_are_rows_too(cli: Cli, tmp_path: Path, photos: Path) -> None:
    (photos / "0.png").rename(photos / os.fsdecode(b"0\xff.png"))
    ran = cli("batch", photos / "*.png", "--out", tmp_path / "out", "--workers", 1)
    assert (ran.code, ran.err) == (0, "")
    rows = ds.dataset(tmp_path / "out").to_table().to_pylist()
    assert sorted(Path(row["path"]).name for row in rows) == ["0?.png", "1.png", "2.png"]


def test_two_runs_do_not_share_a_folder(cli: Cli, tmp_path: Path, photos: Path) -> None:
    with folder_lock(tmp_path / "out", "batch"):
        half = tmp_path / "out" / ".bcpnet-0123456789abcdef.parquet"
        half.write_bytes(b"half")
        ran = cli("batch", photos, "--out", tmp_path / "out")
        assert half.exists()
    assert ran.code == 2
    assert "another batch (process" in ran.err
    assert_one_line(ran.err)


@pytest.mark.skipif(os.name == "nt", reason="no signals of that kind")
def test_interrupted_it_goes_on_where_it_was(cli: Cli, tmp_path: Path, photos: Path) -> None:
    out = tmp_path / "out"
    write_clip(photos / "long.mp4", 100, fps=1)
    process = bcpnet_process("batch", photos, "--out", out, "--workers", 1)
    until = time.monotonic() + 120
    while not list(out.glob("part-*")) and time.monotonic() < until:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130, error
    kept = files(out)
    assert kept
    assert all(name.startswith("part-") for name in kept)
    assert cli("batch", photos, "--out", out).code == 0
    rows = ds.dataset(out).to_table(columns=["path", "frame"]).to_pylist()
    assert len(rows) == len({(row["path"], row["frame"]) for row in rows}) == 3 + 22 + 100


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ([], 2, "nothing to segment"),
        (["gone.png"], 1, "No such file or directory"),
        (["PHOTOS", "--workers", "0"], 2, "--workers 0: need 1 or more"),
        (["PHOTOS", "--weights", "nothing.onnx"], 1, "nothing.onnx"),
        (["PHOTOS", "--size", "7"], 2, "need HEIGHTxWIDTH"),
        (["gopher://host/photos"], 2, "not an address that pyarrow reads"),
        (["PHOTOS", "--out", "PHOTOS/0.png/out", "--workers", "1"], 1, "0.png"),
    ],
)
def test_wrong_calls(cli: Cli, photos: Path, arguments: list[str], code: int, says: str) -> None:
    before = files(photos)
    ran = cli("batch", *(argument.replace("PHOTOS", str(photos)) for argument in arguments))
    assert (ran.code, ran.out) == (code, "")
    assert says in ran.err
    assert_one_line(ran.err)
    assert files(photos) == before
