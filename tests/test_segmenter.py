"""Image in, Segmentation out: with a network whose answer is known."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from bcpnet.errors import InputError, UsageError
from bcpnet.labels import ClassSet
from bcpnet.metadata import Metadata
from bcpnet.segmenter import Segmentation, Segmenter

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
    with pytest.raises(UsageError, match="16x64: need at least 32"):
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
    ],
)
def test_wrong_images(segmenter: Segmenter, image: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        segmenter(image)


@pytest.mark.parametrize("workers", [1, 3])
def test_stream_gives_what_calls_give_in_order(segmenter: Segmenter, workers: int) -> None:
    frames = [_thirds(side, 2 * side) for side in (64, 32, 96, 48, 40, 80)]
    results = list(segmenter.stream(frames, workers))
    assert [result.image is frame for result, frame in zip(results, frames, strict=True)] == [True] * 6
    for result, frame in zip(results, frames, strict=True):
        np.testing.assert_array_equal(result.class_map, segmenter(frame).class_map)


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


@pytest.fixture
def result() -> Segmentation:
    image = np.full((60, 80, 3), 100, np.uint8)
    class_map = np.zeros((60, 80), np.uint8)
    class_map[:, 20:] = 2
    return Segmentation(image, class_map, PRIMARY, {"pre": 1.0, "network": 2.0, "post": 3.0})


def test_shares(result: Segmentation) -> None:
    assert result.shares() == {"red": 0.25, "green": 0, "blue": 0.75}


def test_saved_class_map_reads_back(result: Segmentation, tmp_path: Path) -> None:
    result.save(tmp_path / "out" / "map.png")
    picture = Image.open(tmp_path / "out" / "map.png")
    assert picture.mode == "P"
    np.testing.assert_array_equal(np.asarray(picture), result.class_map)
    np.testing.assert_array_equal(np.asarray(picture.convert("RGB")), np.asarray(result.colour_map()))
    with pytest.raises(UsageError, match=r"written as \.png"):
        result.save(tmp_path / "map.jpg")


def test_pictures(result: Segmentation) -> None:
    assert result.colour_map().getpixel((0, 0)) == (255, 0, 0)
    assert result.colour_map().getpixel((79, 59)) == (0, 0, 255)
    plain = result.overlay(legend=False, palette="dataset")
    assert plain.size == (80, 60)
    np.testing.assert_allclose(plain.getpixel((0, 0)), (177, 50, 50), atol=1)  # half image, half red
    assert result.overlay(opacity=0, legend=False, palette="dataset").getpixel((0, 0)) == (100, 100, 100)
    assert result.overlay().mode == "RGB"
    assert result.overlay().size == (80, 60)  # the legend lies inside


def test_each_is_shown_in_one_line(segmenter: Segmenter, result: Segmentation) -> None:
    assert repr(result) == "<Segmentation: 60x80, 3 classes of primary, 6.0 ms>"
    assert repr(segmenter) == "<Segmenter: 3 classes of primary, onnxruntime, short side 64>"
    assert repr(Segmenter(BrightestChannel(), (40, 48))) == "<Segmenter: 3 classes of primary, onnxruntime, 40x48>"


def test_a_grey_class_map_is_the_ids(result: Segmentation, tmp_path: Path) -> None:
    result.save(tmp_path / "ids.png", palette=False)
    with Image.open(tmp_path / "ids.png") as image:
        assert image.mode == "L"
        assert np.array_equal(np.asarray(image), result.class_map)
