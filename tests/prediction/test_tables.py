"""Batches of encoded pictures and videos in, columns out: the same class maps as `Segmenter`, and errors as rows."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from media_files import noise, scene, write_clip
from one_convolution import METADATA, write_onnx
from PIL import Image

import bcpnet
from bcpnet.errors import UsageError
from bcpnet.media.images import save_image
from bcpnet.media.video import video_frames
from bcpnet.metadata import KEY
from bcpnet.prediction.tables import COLUMNS, BatchSegmenter

SIZE_HW = (64, 96)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_onnx(tmp_path_factory.mktemp("weights") / "one.onnx", {KEY: METADATA.to_json()}))


@pytest.fixture(scope="module")
def rle(weights: str) -> BatchSegmenter:
    return BatchSegmenter(weights, "rle", SIZE_HW)


@pytest.fixture(scope="module")
def segmenter(weights: str) -> bcpnet.Segmenter:
    return bcpnet.load(weights, size_hw=SIZE_HW)


def class_map_of(codes: dict[str, str | None], names: tuple[str, ...], size: tuple[int, int]) -> Any:
    """By COCO's own decoder."""
    mask = pytest.importorskip("pycocotools.mask")
    class_map = np.full(size, 255, np.uint8)
    for label, name in enumerate(names):
        code = codes[name]
        if code is not None:
            class_map[mask.decode({"size": list(size), "counts": code}).astype(bool)] = label
    return class_map


def test_class_maps_are_those_of_the_segmenter(
    tmp_path: Path, weights: str, rle: BatchSegmenter, segmenter: bcpnet.Segmenter
) -> None:
    turned = Image.Exif()
    turned[0x0112] = 6  # stored on its side
    paths = [tmp_path / name for name in ("a.png", "b.jpg", "c.jpg")]
    save_image(paths[0], noise(70, 90))
    save_image(paths[1], scene(1, 50, 60))
    Image.fromarray(scene(2, 50, 60)).save(paths[2], exif=turned)
    names = [str(path) for path in paths]
    contents = [path.read_bytes() for path in paths]
    png = BatchSegmenter(weights, "png", SIZE_HW)
    for batch in ({"path": names}, {"path": names, "bytes": contents}, {"path": names, "bytes": [None, *contents[1:]]}):
        codes, pictures = rle(batch), png(batch)
        assert codes["error"] == pictures["error"] == [None] * 3
        for row, path in enumerate(paths):
            result = segmenter(path)
            shape = result.class_map.shape
            assert (codes["height"][row], codes["width"][row]) == shape
            assert np.array_equal(np.asarray(Image.open(io.BytesIO(pictures["png"][row]))), result.class_map)
            assert np.array_equal(class_map_of(codes["rle"][row], rle.class_names, shape), result.class_map)
            assert codes["shares"][row] == result.shares()
            assert codes["confidence"][row] == pytest.approx(result.confidence.mean() / 255)
            assert codes["ms"][row] > 0


def test_the_parts_of_a_video_are_the_video(tmp_path: Path, rle: BatchSegmenter, segmenter: bcpnet.Segmenter) -> None:
    """Cut at any second, every frame comes once, with the number, time and classes that it has in the whole."""
    clip = write_clip(tmp_path / "clip.mp4", 37, fps=10)
    batch = {"path": [str(clip)] * 4, "start_s": [0, 1, 2, 3], "end_s": np.array([1, 2, 3, np.nan])}
    rows = rle(batch)
    frames = list(video_frames(clip))
    assert rows["frame"] == list(range(37)) == [frame.index for frame in frames]
    assert rows["time_s"] == [round(float(frame.time_s), 6) for frame in frames]
    for codes, frame in zip(rows["rle"], frames, strict=True):
        class_map = segmenter(frame.image).class_map
        assert np.array_equal(class_map_of(codes, rle.class_names, class_map.shape), class_map)
    inside = rle({"path": ["x.tar#clip.mp4"], "bytes": [clip.read_bytes()], "start_s": [3]})
    assert inside["frame"] == list(range(30, 37))
    assert set(inside["path"]) == {"x.tar#clip.mp4"}


def test_a_part_without_a_frame_is_no_error(tmp_path: Path, rle: BatchSegmenter) -> None:
    clip = str(write_clip(tmp_path / "clip.mp4", 10, fps=10))
    assert rle({"path": [clip], "start_s": [5], "end_s": [6]})["path"] == []
    cut_off = tmp_path / "cut.mp4"
    cut_off.write_bytes(Path(clip).read_bytes()[:200])
    (error,) = rle({"path": [str(cut_off)], "start_s": [5]})["error"]
    assert error.startswith(f"{cut_off}: ")


def test_what_is_bad_is_a_row_with_an_error(tmp_path: Path, rle: BatchSegmenter) -> None:
    good, bad, text = tmp_path / "good.png", tmp_path / "bad.png", tmp_path / "text.mp4"
    save_image(good, noise(40, 56))
    bad.write_bytes(good.read_bytes()[:300])
    text.write_text("not a video")
    paths = [str(path) for path in (good, bad, tmp_path / "gone.png", tmp_path, text, good)]
    rows = rle({"path": paths, "bytes": [None] * 5 + [b"not a picture"]})
    assert rows["path"] == paths
    assert set(rows) == {*COLUMNS, "rle"}
    assert rows["error"][0] is None
    for row, path in enumerate(paths[1:], 1):
        assert path in rows["error"][row]
        assert [name for name in rows if rows[name][row] is not None] == ["path", "error"]


def test_too_little_memory_is_a_row_too(weights: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_memory(_: str) -> None:
        raise MemoryError

    segment = BatchSegmenter(weights, "none", SIZE_HW)
    monkeypatch.setattr("bcpnet.prediction.tables.read_image", no_memory)
    assert segment({"path": ["a.png"]})["error"] == ["a.png: not enough memory"]


def test_it_travels_as_its_arguments(tmp_path: Path, weights: str) -> None:
    save_image(tmp_path / "a.png", noise(40, 56))
    batch = {"path": np.array([str(tmp_path / "a.png")], object)}
    segment = BatchSegmenter(weights, "none", SIZE_HW)
    data = pickle.dumps(segment)
    assert len(data) < 1000
    rows, again = segment(batch), pickle.loads(data)(batch)
    assert tuple(rows) == COLUMNS
    assert {**rows, "ms": 0} == {**again, "ms": 0}


def test_wrong_calls(weights: str, rle: BatchSegmenter) -> None:
    with pytest.raises(UsageError, match="need 'rle', 'png' or 'none'"):
        BatchSegmenter(weights, "jpg")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="no column 'path' in the batch, only image"):
        rle({"image": []})
