"""Image in, Segmentation out: with a network whose answer is known."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from media_files import write_clip
from PIL import Image

from bcpnet.errors import InputError, UsageError
from bcpnet.labels import ClassSet
from bcpnet.media.video import read_video
from bcpnet.metadata import Metadata
from bcpnet.segmenter import Segmenter, load

PRIMARY = ClassSet("primary", ("red", "green", "blue"), ((255, 0, 0), (0, 255, 0), (0, 0, 255)))


class BrightestChannel:
    """A backend whose logits are the mean colours of 8 x 8 blocks: the class is the strongest channel."""

    name = "onnxruntime"
    metadata = Metadata("bcpnet", {}, PRIMARY, short_side=64)

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def __call__(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        self.shapes.append(images.shape)
        assert images.dtype == np.uint8
        n, height, width, channels = images.shape
        blocks = images.reshape(n, height // 8, 8, width // 8, 8, channels).mean((2, 4))
        return blocks.transpose(0, 3, 1, 2).astype(np.float32)


@pytest.fixture
def segmenter() -> Segmenter:
    return Segmenter(BrightestChannel())


def _thirds(height: int, width: int) -> npt.NDArray[np.uint8]:
    """Red, green and blue, a third of the width each."""
    frame = np.zeros((height, width, 3), np.uint8)
    for channel in range(3):
        frame[:, channel * width // 3 : (channel + 1) * width // 3, channel] = 250
    return frame


@pytest.mark.parametrize("frame_hw", [(96, 144), (64, 90), (37, 60), (301, 451)])
def test_class_map_lies_on_the_image(segmenter: Segmenter, frame_hw: tuple[int, int]) -> None:
    frame = _thirds(*frame_hw)
    result = segmenter(frame)
    assert result.class_map.shape == frame_hw
    assert result.class_map.dtype == np.uint8
    assert np.mean(result.class_map == frame.argmax(axis=2)) > 0.97  # all but pixels at the borders
    assert result.image is frame
    assert result.classes == PRIMARY
    assert list(result.timings_ms) == ["pre", "network", "post"]
    assert all(milliseconds >= 0 for milliseconds in result.timings_ms.values())


def test_a_backend_may_return_class_maps() -> None:
    class WholeMaps(BrightestChannel):
        def class_maps(self, images: npt.NDArray[np.uint8], size_hw: tuple[int, int]) -> npt.NDArray[np.uint8]:
            assert images.shape == (1, 64, 96, 3)
            return np.full((1, *size_hw), 2, np.uint8)

    result = Segmenter(WholeMaps())(_thirds(37, 56))
    assert result.class_map.shape == (37, 56)
    assert result.shares()["blue"] == 1
    assert list(result.timings_ms) == ["pre", "network"]


def test_network_size() -> None:
    backend = BrightestChannel()
    Segmenter(backend)(_thirds(128, 192))
    result = Segmenter(backend, size_hw=(40, 48))(_thirds(128, 192))
    assert result.class_map.shape == (128, 192)
    assert backend.shapes == [(1, 64, 96, 3), (1, 40, 48, 3)]
    with pytest.raises(UsageError, match="16x64: need 32 to 16384"):
        Segmenter(backend, size_hw=(16, 64))


@pytest.mark.parametrize("size_hw", [[40, 48], (np.int64(40), 48), np.array([40, 48])])
def test_any_two_ints_are_a_size(size_hw: Any) -> None:
    size = Segmenter(BrightestChannel(), size_hw=size_hw).size_hw
    assert size == (40, 48)
    assert [type(side) for side in (size or ())] == [int, int]


@pytest.mark.parametrize("size_hw", [512, "512", "40x48", (40,), (40, 48, 3), (40.0, 48.0), ("40", "48"), {40, 48}, ()])
def test_what_is_no_size(size_hw: Any) -> None:
    with pytest.raises(UsageError, match="need two whole numbers, height and width"):
        Segmenter(BrightestChannel(), size_hw=size_hw)


@pytest.mark.parametrize("size_hw", [(31, 48), (40, 16385), (10**9, 10**9), (-40, 40)])
def test_a_size_that_no_network_can_have(size_hw: tuple[int, int]) -> None:
    with pytest.raises(UsageError, match=r"network size .*: need 32 to 16384 pixels a side"):
        Segmenter(BrightestChannel(), size_hw=size_hw)


@pytest.mark.parametrize("frame_hw", [(1, 1), (1, 500), (500, 1), (3, 5)])
def test_tiny_frames(segmenter: Segmenter, frame_hw: tuple[int, int]) -> None:
    result = segmenter(np.full((*frame_hw, 3), (0, 9, 0), np.uint8))
    assert result.class_map.shape == frame_hw
    assert (result.class_map == 1).all()
    result.overlay()


def test_path_array_and_pillow_image_give_the_same(segmenter: Segmenter, tmp_path: Path) -> None:
    frame = _thirds(60, 90)
    path = tmp_path / "thirds.png"
    Image.fromarray(frame).save(path)
    expected = segmenter(frame).class_map
    for image in (path, str(path), Image.open(path), Image.open(path).convert("RGBA"), frame[:, ::-1][:, ::-1]):
        np.testing.assert_array_equal(segmenter(image).class_map, expected)


def test_pillow_images_are_turned_upright(segmenter: Segmenter, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: to be turned by a quarter clockwise
    Image.fromarray(_thirds(60, 90)).save(tmp_path / "turned.png", exif=exif)
    result = segmenter(Image.open(tmp_path / "turned.png"))
    assert result.class_map.shape == (90, 60)
    np.testing.assert_array_equal(result.class_map, segmenter(tmp_path / "turned.png").class_map)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((40, 40), np.uint8), r"shape \(40, 40\) and type uint8"),
        (np.zeros((40, 40, 4), np.uint8), r"shape \(40, 40, 4\)"),
        (np.zeros((40, 40, 3), np.float32), "type float32"),
        (np.zeros((0, 40, 3), np.uint8), r"shape \(0, 40, 3\)"),
        ([[1, 2], [3, 4]], "list: need a path"),
        (Image.new("I;16", (4, 4)), "mode I;16"),
        ("no/such/file.png", "no/such/file.png"),
        ("x" * 5000, "(?i)name too long"),
        ("a\0b", "null"),
        (np.broadcast_to(np.uint8(3), (10**6, 10**6, 3)), "1000000x1000000 pixels, more than 178 megapixels"),
        (Image.new("RGB", (0, 5)), "of 0x5 pixels"),
        (Image.new("La", (9, 9)), "cannot be used"),
    ],
)
def test_wrong_images(segmenter: Segmenter, image: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        segmenter(image)


def test_pillow_images_that_are_closed_or_of_a_damaged_file(segmenter: Segmenter, tmp_path: Path) -> None:
    picture = Image.fromarray(_thirds(60, 90))
    picture.save(tmp_path / "cut.jpg")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "cut.jpg").read_bytes()[:-300])
    with (
        Image.open(tmp_path / "cut.jpg") as cut,
        pytest.raises(InputError, match=r"cut\.jpg: cannot be used \("),
    ):
        segmenter(cut)
    picture.close()
    with pytest.raises(InputError, match=r"^a Pillow image: cannot be used \("):
        segmenter(picture)


def test_arrays_of_any_layout_give_the_same(segmenter: Segmenter) -> None:
    frame = _thirds(60, 90)
    spread = np.zeros((120, 180, 6), np.uint8)
    spread[::2, ::2, ::2] = frame
    shut = frame.copy()
    shut.flags.writeable = False
    expected = segmenter(frame).class_map
    for same in (spread[::2, ::2, ::2], np.asfortranarray(frame), frame[::-1].copy()[::-1], shut, frame.astype(">u1")):
        np.testing.assert_array_equal(segmenter(same).class_map, expected)
    blue_first = frame[:, :, ::-1].copy()
    np.testing.assert_array_equal(segmenter(blue_first, channels="bgr").class_map, expected)


def test_a_stream_refuses_a_frame_beyond_all_memory_at_its_place(segmenter: Segmenter) -> None:
    results = segmenter.stream([_thirds(32, 48), np.broadcast_to(np.uint8(3), (10**6, 10**6, 3))])
    assert next(results).class_map.shape == (32, 48)
    with pytest.raises(InputError, match="megapixels"):
        next(results)


@pytest.mark.parametrize("workers", [0, -1, 1025, 10**6, 1.5, "2", None])
def test_workers_that_cannot_be_meant(segmenter: Segmenter, workers: Any) -> None:
    with pytest.raises(UsageError, match=f"{workers} workers: need 1 to 1024"):
        segmenter.stream([_thirds(32, 48)], workers=workers)


@pytest.mark.parametrize("workers", [1, 3])
def test_stream_gives_what_calls_give_in_order(segmenter: Segmenter, workers: int) -> None:
    frames = [_thirds(side, 2 * side) for side in (64, 32, 96, 48, 40, 80)]
    results = list(segmenter.stream(frames, workers))
    assert all(np.array_equal(result.image, frame) for result, frame in zip(results, frames, strict=True))
    for result, frame in zip(results, frames, strict=True):
        np.testing.assert_array_equal(result.class_map, segmenter(frame).class_map)


@pytest.mark.parametrize("workers", [1, 3])
def test_a_source_of_a_stream_may_fill_one_array_anew(segmenter: Segmenter, workers: int) -> None:
    pictures = [np.roll(_thirds(32, 48), 7 * index, axis=1) for index in range(12)]

    def camera() -> Iterator[np.ndarray]:
        buffer = np.empty_like(pictures[0])
        for picture in pictures:
            np.copyto(buffer, picture)
            yield buffer
        buffer[:] = 0

    for result, picture in zip(segmenter.stream(camera(), workers), pictures, strict=True):
        np.testing.assert_array_equal(result.image, picture)
        np.testing.assert_array_equal(result.class_map, segmenter(picture).class_map)


def test_a_stream_closes_its_source(segmenter: Segmenter) -> None:
    closed = []

    def camera() -> Iterator[np.ndarray]:
        try:
            while True:
                yield _thirds(32, 48)
        finally:
            closed.append(True)

    with closing(segmenter.stream(camera())) as results:
        next(results)
    assert closed == [True]


def test_a_stream_of_files(segmenter: Segmenter, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "in" / "2.mp4", 5)
    Image.fromarray(_thirds(32, 48)).save(tmp_path / "in" / "10.png")
    pictures = [*read_video(clip), _thirds(32, 48)]
    for path, expected in (
        (str(clip), pictures[:5]),
        (tmp_path / "in", pictures),
        (tmp_path / "in/*.png", [pictures[5]]),
    ):
        for result, picture in zip(segmenter.stream(path), expected, strict=True):
            np.testing.assert_array_equal(result.image, picture)
    (tmp_path / "in" / "3.png").write_text("no picture")
    results = segmenter.stream(tmp_path / "in")
    for _ in range(5):
        next(results)
    with pytest.raises(InputError, match=r"3\.png: "):
        next(results)
    with pytest.raises(InputError, match="none: cannot read"):
        next(segmenter.stream(tmp_path / "none"))


def test_a_video_in_the_place_of_an_image_is_told_as_one(segmenter: Segmenter, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "x.mp4", 2)
    for path in (clip, Path(shutil.copy(clip, tmp_path / "x.jpg"))):
        with pytest.raises(InputError, match=rf"{path.name}: a video, not an image: Segmenter.stream"):
            segmenter(path)


def test_stream_takes_the_next_frame_while_the_caller_works(segmenter: Segmenter) -> None:
    taken, closed = threading.Event(), threading.Event()

    def frames() -> Iterator[npt.NDArray[np.uint8]]:
        try:
            yield _thirds(32, 48)
            taken.set()
            while True:
                yield _thirds(32, 48)
        finally:
            closed.set()

    results = segmenter.stream(frames())
    assert not taken.is_set()
    next(results)
    assert taken.wait(10)  # though no second result was asked for
    results.close()
    assert closed.is_set()


def test_a_bad_frame_in_a_stream_comes_at_its_place(segmenter: Segmenter) -> None:
    results = segmenter.stream([_thirds(32, 48), np.zeros((4, 4), np.uint8), _thirds(32, 48)], workers=2)
    next(results)
    with pytest.raises(InputError, match=r"shape \(4, 4\)"):
        next(results)


def test_shown_in_one_line(segmenter: Segmenter) -> None:
    assert repr(segmenter) == "<Segmenter: 3 classes of primary, onnxruntime, short side 64>"
    assert repr(Segmenter(BrightestChannel(), (40, 48))) == "<Segmenter: 3 classes of primary, onnxruntime, 40x48>"


def test_bgr_by_name(segmenter: Segmenter) -> None:
    frame = _thirds(64, 96)
    expected = segmenter(frame)
    for result in (
        segmenter(frame[:, :, ::-1], channels="bgr"),
        segmenter(np.ascontiguousarray(frame[:, :, ::-1]), channels="bgr"),
        *segmenter.batch([frame[:, :, ::-1]], channels="bgr"),
        *segmenter.stream([frame[:, :, ::-1]], channels="bgr"),
    ):
        np.testing.assert_array_equal(result.image, frame)
        np.testing.assert_array_equal(result.class_map, expected.class_map)
        assert result.overlay().tobytes() == expected.overlay().tobytes()


def test_channels_are_for_arrays(segmenter: Segmenter, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="channels 'gbr': need 'rgb' or 'bgr'"):
        segmenter(_thirds(64, 96), channels="gbr")  # type: ignore[arg-type]
    for image in (Image.new("RGB", (9, 9)), tmp_path / "a.png"):
        with pytest.raises(UsageError, match="only arrays need them"):
            segmenter(image, channels="bgr")
    with pytest.raises(UsageError, match="only arrays need them"):
        segmenter.stream(tmp_path / "clip.mp4", channels="bgr")


def test_a_batch_gives_what_calls_give(segmenter: Segmenter) -> None:
    frames = [_thirds(*size) for size in ((64, 96), (37, 60), (64, 96), (90, 64), (37, 60), (64, 96))]
    frames[2] = frames[2][:, ::-1]
    results = segmenter.batch(frames)
    for result, frame in zip(results, frames, strict=True):
        expected = segmenter(frame)
        assert result.image is frame
        np.testing.assert_array_equal(result.class_map, expected.class_map)
        np.testing.assert_array_equal(result.logits, expected.logits)
        assert list(result.timings_ms) == ["pre", "network", "post"]
    assert segmenter.batch([]) == []


def test_a_batch_of_one_size_is_one_call() -> None:
    backend = BrightestChannel()
    Segmenter(backend).batch([_thirds(64, 96)] * 3 + [_thirds(128, 192)] * 2)
    assert backend.shapes == [(3, 64, 96, 3), (2, 64, 96, 3)]


def test_logits_of_a_backend_that_returns_class_maps() -> None:
    class WholeMaps(BrightestChannel):
        def class_maps(self, images: npt.NDArray[np.uint8], size_hw: tuple[int, int]) -> npt.NDArray[np.uint8]:
            return np.zeros((len(images), *size_hw), np.uint8)

    backend = WholeMaps()
    frames = [_thirds(64, 96), _thirds(64, 96)[:, ::-1]]
    results = Segmenter(backend).batch(frames)
    assert backend.shapes == []  # nobody asked for logits yet
    for result, frame in zip(results, frames, strict=True):
        np.testing.assert_array_equal(result.logits, Segmenter(BrightestChannel())(frame).logits)
    assert backend.shapes == [(1, 64, 96, 3)] * 2


@pytest.mark.parametrize("backend", ["native", "onnxruntime", "openvino"])
def test_each_result_keeps_its_own_logits(backend: str) -> None:
    """Though a runtime may write the next frame's where it wrote this one's."""
    try:
        segmenter = load("camvid", backend=backend, size_hw=(64, 96), threads=1)
    except UsageError as error:
        pytest.skip(str(error))
    first = segmenter(_thirds(64, 96))
    kept = first.logits.copy()
    segmenter(_thirds(64, 96)[:, ::-1])
    np.testing.assert_array_equal(first.logits, kept)
    assert first.confidence.shape == (64, 96)
