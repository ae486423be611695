"""Files in, results out, without the command line: order, laziness, errors and what is left behind."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest
from media_files import noise, write_clip
from PIL import Image

from bcpnet.drawing import pictures as draw
from bcpnet.errors import InputError, UsageError
from bcpnet.labels import ClassSet
from bcpnet.media.sources import BadFrame, MediaItem, find_media, read_video, save_image, video_info
from bcpnet.metadata import Metadata
from bcpnet.prediction.predict import Outputs, Prediction, predict
from bcpnet.segmenter import Segmenter

CLASSES = ClassSet("primary", ("red", "green", "blue"), ((255, 0, 0), (0, 255, 0), (0, 0, 255)))


class BrightestChannel:
    """Logits at stride 8: the colours of every eighth pixel."""

    name = "onnxruntime"
    metadata = Metadata("bcpnet", {}, CLASSES, short_side=32)

    def __call__(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        return np.ascontiguousarray(images[:, 4::8, 4::8].transpose(0, 3, 1, 2), np.float32)


@pytest.fixture
def segmenter() -> Segmenter:
    return Segmenter(BrightestChannel())


@pytest.fixture
def items(tmp_path: Path) -> list[MediaItem]:
    """Two videos with an image and a broken file between them."""
    folder = tmp_path / "in"
    write_clip(folder / "1.mp4", 7)
    save_image(folder / "2.png", noise(40, 56))
    (folder / "3.png").write_text("not a picture")
    write_clip(folder / "4.mp4", 3, 10)
    return find_media([folder])


@pytest.fixture(autouse=True)
def _no_thread_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("*")}


@pytest.mark.parametrize("workers", [1, 3])
def test_every_frame_in_order_and_every_file_whole(
    workers: int, items: list[MediaItem], segmenter: Segmenter, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    results = list(predict(items, segmenter, Outputs(out, ("overlay", "classmap", "colour"), 0.25), workers))
    stems = [*(f"1_{index:06}" for index in range(7)), "2", None, *(f"4_{index:06}" for index in range(3))]
    assert [result.frame.stem if isinstance(result, Prediction) else None for result in results] == stems
    videos = {f"{stem}_{kind}.mp4" for stem in "14" for kind in ("overlay", "colour")}
    assert files(out) == {f"{stem}.png" for stem in stems if stem} | videos | {"2_overlay.jpg", "2_colour.png"}
    assert video_info(out / "4_overlay.mp4").fps == 10
    for result in results:
        if isinstance(result, BadFrame):
            assert result.item.path.name == "3.png"
            continue
        expected = segmenter(result.frame.image)
        np.testing.assert_array_equal(result.segmentation.class_map, expected.class_map)
        np.testing.assert_array_equal(np.asarray(Image.open(out / f"{result.frame.stem}.png")), expected.class_map)
        np.testing.assert_array_equal(result.pictures["overlay"], np.asarray(expected.overlay(0.25)))
        np.testing.assert_array_equal(result.pictures["colour"], draw.colour_map(expected.class_map, CLASSES.palette()))
        assert list(result.timings_ms) == ["decode", "pre", "network", "post", "draw", "write"]
        assert min(result.timings_ms.values()) >= 0
    encoded = list(read_video(out / "1_colour.mp4"))
    for image, result in zip(encoded, results[:7], strict=True):
        assert isinstance(result, Prediction)
        assert np.abs(image.astype(int) - result.pictures["colour"]).mean() < 30  # in its place; colours bleed


def test_a_video_is_whole_when_the_next_file_comes(
    items: list[MediaItem], segmenter: Segmenter, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    for result in predict(items, segmenter, Outputs(out, ("overlay",))):
        assert ("1_overlay.mp4" in files(out)) == (result.item.path.name != "1.mp4")
    assert files(out) == {"1_overlay.mp4", "2_overlay.jpg", "4_overlay.mp4"}


def test_a_video_whose_size_changes(segmenter: Segmenter, tmp_path: Path) -> None:
    clip = tmp_path / "in" / "clip.ts"
    clip.parent.mkdir()
    for first, (height, width) in ((0, (48, 64)), (4, (56, 80))):  # as when a broadcast goes on in another size
        with av.open(tmp_path / "part.ts", "w") as container:
            stream = container.add_stream("libx264", rate=25)
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            for index in range(first, first + 4):
                frame = av.VideoFrame.from_ndarray(noise(height, width), format="rgb24")
                frame.pts, frame.time_base = index, Fraction(1, 25)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        with clip.open("ab") as file:
            file.write((tmp_path / "part.ts").read_bytes())
    save_image(clip.with_name("later.png"), noise(40, 56))
    items = find_media([clip.parent])
    results = list(predict(items, segmenter, Outputs(tmp_path / "out", ("colour", "classmap"))))
    (bad,) = (result for result in results if isinstance(result, BadFrame))
    assert "clip.ts: its size changes to 56x80 at frame 4: " in str(bad.error)
    assert len(results) == 4 + 1 + 4 + 1
    assert [image.shape for image in read_video(tmp_path / "out" / "clip_colour.mp4")] == [(48, 64, 3)] * 4
    assert {f"clip_{index:06}.png" for index in range(8)} | {"later.png"} <= files(tmp_path / "out")
    assert all(isinstance(result, Prediction) for result in predict(items, segmenter, Outputs(tmp_path, ("classmap",))))


def test_stopping_early_leaves_no_half_of_a_video(items: list[MediaItem], segmenter: Segmenter, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with closing(predict(items, segmenter, Outputs(out, ("overlay", "colour")), workers=2)) as results:
        for _ in range(3):
            next(results)
    assert files(out) == set()


def test_nothing_is_asked_for_nothing_is_written(items: list[MediaItem], segmenter: Segmenter, tmp_path: Path) -> None:
    results = list(predict(items, segmenter, Outputs(tmp_path / "out")))
    assert len(results) == 12
    assert not (tmp_path / "out").exists()


def test_what_cannot_be_written_ends_it(items: list[MediaItem], segmenter: Segmenter, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("in the way")
    for kind in ("overlay", "classmap"):
        with pytest.raises(InputError, match="cannot write"):
            list(predict(items, segmenter, Outputs(tmp_path / "out", (kind,)), workers=2))


def test_a_source_that_a_frame_would_overwrite(segmenter: Segmenter, tmp_path: Path) -> None:
    """Of a video the names are known only as its frames come."""
    write_clip(tmp_path / "x.mp4", 4)
    save_image(tmp_path / "x_000002.png", noise(8, 8))
    before = (tmp_path / "x_000002.png").read_bytes()
    with pytest.raises(UsageError, match="choose another --out"):
        list(predict(find_media([tmp_path]), segmenter, Outputs(tmp_path, ("classmap",)), workers=2))
    assert (tmp_path / "x_000002.png").read_bytes() == before
