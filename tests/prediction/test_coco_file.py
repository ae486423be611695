"""A COCO file written piece by piece is the one made at once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from full_disk import full_disk

from bcpnet.errors import InputError
from bcpnet.labels import CAMVID
from bcpnet.prediction.coco_file import CocoFile, is_own_coco_file
from bcpnet.segmentation import Segmentation


def results(count: int) -> list[Segmentation]:
    rng = np.random.default_rng(0)
    sizes = [(8 + index, 12) for index in range(count)]
    return [
        Segmentation(np.zeros((*size, 3), np.uint8), rng.integers(0, 5, size).astype(np.uint8), CAMVID, {})
        for size in sizes
    ]


def filled(count: int) -> tuple[CocoFile, dict[str, Any] | None]:
    """The file to be written, and what it shall hold."""
    coco, expected = CocoFile(CAMVID), None
    for index, result in enumerate(results(count)):
        name, polygons = f"{index}.png", index % 2 == 1
        annotations = result.to_coco(name, polygons)["annotations"]
        coco.add(name, (8 + index, 12), annotations)
        expected = result.to_coco(name, polygons, into=expected)
    return coco, expected


def test_piece_by_piece(tmp_path: Path) -> None:
    coco, expected = filled(4)
    coco.write(tmp_path / "out" / "coco.json")
    assert json.loads((tmp_path / "out" / "coco.json").read_text()) == expected
    assert is_own_coco_file(tmp_path / "out" / "coco.json")


def test_without_images(tmp_path: Path) -> None:
    CocoFile(CAMVID).write(tmp_path / "coco.json")
    assert json.loads((tmp_path / "coco.json").read_text())["images"] == []


def test_whose_it_is(tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text('{"info": {"contributor": "somebody"}}')
    for path in (tmp_path / "other.json", tmp_path / "none.json", tmp_path):
        assert not is_own_coco_file(path)


@pytest.mark.parametrize("count", [2, 300])  # within the buffer, and beyond it
def test_a_full_disk_leaves_the_older_file(count: int, tmp_path: Path) -> None:
    path = tmp_path / "coco.json"
    path.write_text("older")
    with full_disk(), pytest.raises(InputError, match="cannot write: "):
        filled(count)[0].write(path)
    assert path.read_text() == "older"
    assert [each.name for each in tmp_path.iterdir()] == ["coco.json"]
