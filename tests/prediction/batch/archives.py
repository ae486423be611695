"""Small archives of every kind that `bcpnet batch` takes, and what a run wrote."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

import pytest
from media_files import noise, write_clip
from one_convolution import METADATA, write_onnx

from bcpnet.media.images import save_image
from bcpnet.metadata import KEY

SIZE_HW = (64, 96)
IMAGES = 5
TAR_IMAGES = 3
TABLE_IMAGES = 4
CLIP_FRAMES = 25  # at one a second, so two parts of 20 s


def write_weights(folder: Path) -> str:
    return str(write_onnx(folder / "one.onnx", {KEY: METADATA.to_json()}))


def write_archive(folder: Path) -> Path:
    """Images, a broken one, a video, a tar file and a Parquet file; returns the folder of them all."""
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    folder.mkdir()
    pictures = []
    for number in range(IMAGES):
        save_image(folder / f"{number}.png", noise(40, 56))
        pictures.append((folder / f"{number}.png").read_bytes())
    (folder / "broken.jpg").write_bytes(b"not a picture")
    (folder / "notes.md").write_text("passed over")
    (folder / ".hidden.png").write_bytes(pictures[0])
    write_clip(folder / "clip.mp4", CLIP_FRAMES, fps=1)
    with tarfile.open(folder / "shard.tar", "w") as tar:
        for number in range(TAR_IMAGES):
            for name, content in ((f"{number:06d}.png", pictures[number]), (f"{number:06d}.cls", b"3")):
                member = tarfile.TarInfo(name)
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    table = pa.table({"label": [1] * TABLE_IMAGES, "image": [*pictures[:2], None, pictures[3]]})
    pq.write_table(table, folder / "table.parquet", row_group_size=1)
    return folder


def expected_rows(folder: Path) -> list[tuple[str, int | None]]:
    """Path and frame number of every row, sorted; of errors no number."""
    rows: list[tuple[str, int | None]] = [(str(folder / f"{number}.png"), 0) for number in range(IMAGES)]
    rows += [(str(folder / "broken.jpg"), None), (str(folder / "table.parquet"), None)]
    rows += [(str(folder / "clip.mp4"), number) for number in range(CLIP_FRAMES)]
    rows += [(f"{folder}/shard.tar#{number:06d}.png", 0) for number in range(TAR_IMAGES)]
    rows += [(f"{folder}/table.parquet#{number}", 0) for number in (0, 1, 3)]
    return sorted(rows, key=str)


def read_rows(out: Path) -> list[dict[str, Any]]:
    """All rows that a run wrote, by another reader than the code's: pyarrow's datasets."""
    dataset = pytest.importorskip("pyarrow.dataset")
    rows: list[dict[str, Any]] = dataset.dataset(out, format="parquet").to_table().to_pylist()
    return sorted(rows, key=lambda row: str((row["path"], row["frame"])))


def keys(rows: list[dict[str, Any]]) -> list[tuple[str, int | None]]:
    return [(row["path"], row["frame"]) for row in rows]
