"""What a Segmentation says: shares, masks, confidence, regions, files and pictures."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from bcpnet.errors import UsageError
from bcpnet.frames.upsample import upsample_argmax
from bcpnet.labels import ClassSet
from bcpnet.regions.zones import Zone
from bcpnet.segmentation import Segmentation

PRIMARY = ClassSet("primary", ("red", "green", "blue"), ((255, 0, 0), (0, 255, 0), (0, 0, 255)))


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


def test_shown_in_one_line(result: Segmentation) -> None:
    assert repr(result) == "<Segmentation: 60x80, 3 classes of primary, 6.0 ms>"


def test_a_grey_class_map_is_the_ids(result: Segmentation, tmp_path: Path) -> None:
    result.save(tmp_path / "ids.png", palette=False)
    with Image.open(tmp_path / "ids.png") as image:
        assert image.mode == "L"
        assert np.array_equal(np.asarray(image), result.class_map)


def test_shares_of_a_zone(result: Segmentation) -> None:
    assert result.shares([(0, 0), (40, 0), (40, 60), (0, 60)]) == {"red": 0.5, "green": 0, "blue": 0.5}
    left = Zone("left", [(0, 0), (100, 0), (100, 10), (0, 10)], (10, 400))  # measured in a wider picture
    assert result.shares(left)["red"] == 1
    with pytest.raises(UsageError, match="zone far: no pixel of a 60x80 image lies in it"):
        result.shares(Zone("far", [(90, 0), (99, 0), (99, 9)], (60, 80)))
    with pytest.raises(UsageError, match="need three corners"):
        result.shares([(0, 0), (1, 1)])


def test_masks(result: Segmentation) -> None:
    np.testing.assert_array_equal(result.mask("red"), result.class_map == 0)
    assert result.mask("blue", "red").all()
    assert not result.mask("green").any()
    for call in (result.mask, result.regions, result.free_space):
        with pytest.raises(UsageError, match="no class 'rde': these weights have red, green, blue"):
            call("rde")


def test_free_space(result: Segmentation) -> None:
    result.class_map[30, 40] = 0
    reach = result.free_space("blue")
    assert reach[[0, 20, 40, 79]].tolist() == [0, 60, 29, 60]
    with pytest.raises(UsageError, match="no class 'road'"):
        result.free_space()


def test_regions_of_all_classes_or_some(result: Segmentation) -> None:
    assert [(region.name, region.box_xywh) for region in result.regions()] == [
        ("blue", (20, 0, 60, 60)),
        ("red", (0, 0, 20, 60)),
    ]
    assert [region.name for region in result.regions("red", "green")] == ["red"]
    assert repr(result.regions("red")[0]) == "<Region: red, 1200 pixels in (0, 0, 20, 60)>"


def test_without_a_network_there_are_no_logits(result: Segmentation) -> None:
    for use in ("logits", "probabilities", "confidence"):
        with pytest.raises(UsageError, match="made without a network"):
            getattr(result, use)


@pytest.fixture
def scored() -> Segmentation:
    """Red on the left, blue on the right, and undecided between them."""
    logits = np.zeros((3, 6, 8), np.float32)
    logits[0, :, :4] = logits[2, :, 4:] = 5
    logits[0, :, 3] = logits[2, :, 4] = 0.5
    class_map = upsample_argmax(logits, (60, 80))
    return Segmentation(np.zeros((60, 80, 3), np.uint8), class_map, PRIMARY, {}, logits)


def test_probabilities(scored: Segmentation) -> None:
    assert scored.logits.shape == scored.probabilities.shape == (3, 6, 8)
    np.testing.assert_allclose(scored.probabilities.sum(axis=0), 1, rtol=1e-6)


def test_what_is_unsure_is_ignored(scored: Segmentation) -> None:
    confidence = scored.confidence
    assert confidence[30, 0] > 240 > confidence[30, 40] > 80
    sure = scored.with_min_confidence(0.9)
    np.testing.assert_array_equal(sure.class_map, np.where(confidence / 255 >= 0.9, scored.class_map, 255))
    assert (scored.class_map != 255).all()  # the first result stays as it is
    np.testing.assert_array_equal(sure.confidence, confidence)
    assert sum(sure.shares().values()) == pytest.approx((confidence >= 0.9 * 255).mean())
    assert 0 < (sure.class_map == 255).mean() < 1
    assert sum(region.area for region in sure.regions()) == (sure.class_map != 255).sum()
    np.testing.assert_array_equal(scored.with_min_confidence(0).class_map, scored.class_map)
    assert (scored.with_min_confidence(1).class_map == 255).all()
    sure.overlay()
    for minimum in (-0.1, 1.1, float("nan")):
        with pytest.raises(UsageError, match="need 0 to 1"):
            scored.with_min_confidence(minimum)


def test_just_sure_enough(scored: Segmentation) -> None:
    every_value = np.resize(np.arange(256, dtype=np.uint8), scored.class_map.shape)
    scored.__dict__["confidence"] = every_value
    for minimum, least in ((0.2, 51), (0.4, 102), (0.8, 204), (1, 255)):
        np.testing.assert_array_equal(scored.with_min_confidence(minimum).class_map == 255, every_value < least)


def test_regions_know_how_sure_they_are(scored: Segmentation) -> None:
    for region in scored.regions():
        assert region.confidence == pytest.approx(scored.confidence[region.mask].mean() / 255)
        assert f"confidence {region.confidence:.2f}" in repr(region)


def test_logits_are_asked_for_once_and_not_before() -> None:
    calls = []

    def compute() -> npt.NDArray[np.float32]:
        calls.append(1)
        return np.zeros((3, 2, 2), np.float32)

    result = Segmentation(np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8), np.uint8), PRIMARY, {}, compute)
    result.shares()
    result.overlay()
    assert not calls
    assert (result.confidence == 85).all()
    for other in (pickle.loads(pickle.dumps(result)), copy.copy(result)):
        assert (other.confidence == 85).all()
        assert other.logits.shape == (3, 2, 2)
    assert len(calls) == 1


def test_a_result_goes_to_another_process_whole(scored: Segmentation) -> None:
    other = pickle.loads(pickle.dumps(scored))
    np.testing.assert_array_equal(other.class_map, scored.class_map)
    np.testing.assert_array_equal(other.logits, scored.logits)


def test_what_is_not_asked_for_is_not_loaded() -> None:
    code = (
        "import sys, numpy as np\nfrom bcpnet.segmentation import Segmentation\nfrom bcpnet.labels import CAMVID\n"
        "result = Segmentation(np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4), np.uint8), CAMVID, {})\n"
        "result.shares(), result.mask('road'), result.overlay()\n"
        "print([name for name in sys.modules if name.startswith('bcpnet.regions.')])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ran.stdout.strip(), ran.stderr) == ("[]", "")
