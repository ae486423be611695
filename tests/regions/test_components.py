"""Connected regions against OpenCV's and SciPy's."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from class_maps import ClassMap, class_maps
from hypothesis import example, given, settings

from bcpnet.labels import CAMVID
from bcpnet.regions.region import Region, find_regions, whole_classes

ALL = range(len(CAMVID))


def snake(height: int, width: int) -> ClassMap:
    """One pixel wide, to and fro: one region, whose rows hang together at one end each."""
    class_map = np.full((height, width), 255, np.uint8)
    class_map[::2] = 1
    class_map[1::4, -1] = class_map[3::4, 0] = 1
    return class_map


def in_order(regions: list[Region]) -> list[tuple[int, ...]]:
    return sorted((region.label, *region.box_xywh, region.area) for region in regions)


@settings(max_examples=200)
@given(class_map=class_maps)
@example(class_map=np.full((3, 4), 255, np.uint8))
@example(class_map=snake(41, 9))
@example(class_map=np.array([[0, 1], [1, 0]], np.uint8))  # both touch by a corner
def test_equals_opencv(class_map: ClassMap) -> None:
    cv2 = pytest.importorskip("cv2", reason="compares with OpenCV")
    expected = []
    for label in ALL:
        mask = (class_map == label).astype(np.uint8)
        _, _, rows, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
        expected += [(label, *row) for row in rows[1:].tolist()]
    assert in_order(find_regions(class_map, CAMVID, ALL, None)) == sorted(expected)


@settings(max_examples=100)
@given(class_map=class_maps)
def test_masks_are_the_pixels_of_the_class(class_map: ClassMap) -> None:
    together = np.zeros((6, *class_map.shape), np.int64)
    for region in find_regions(class_map, CAMVID, ALL, None):
        left, top, width, height = region.box_xywh
        assert region.mask.sum() == region.area == region.mask[top : top + height, left : left + width].sum()
        assert region.name == CAMVID.names[region.label]
        together[region.label] += region.mask
    for label in range(6):
        np.testing.assert_array_equal(together[label], class_map == label)
    for whole in whole_classes(class_map, CAMVID, None):
        np.testing.assert_array_equal(whole.mask, class_map == whole.label)
        assert whole.area == whole.mask.sum()


@settings(max_examples=50)
@given(class_map=class_maps)
def test_mean_confidence(class_map: ClassMap) -> None:
    values = np.random.default_rng(0).integers(0, 256, class_map.shape).astype(np.uint8)
    for find in (find_regions, lambda *rest: whole_classes(*rest[:2], rest[3])):
        for region in find(class_map, CAMVID, ALL, values):
            assert region.confidence == pytest.approx(values[region.mask].mean() / 255)


def test_the_largest_first_and_none_that_is_too_small() -> None:
    class_map = np.full((20, 20), 255, np.uint8)
    class_map[0, :3] = class_map[5:9, :5] = class_map[12, 4:10] = 2
    class_map[19, 19] = 3
    assert [region.area for region in find_regions(class_map, CAMVID, [2, 3], None)] == [20, 6, 3, 1]
    assert [region.area for region in find_regions(class_map, CAMVID, [2], None, min_area=6)] == [20, 6]
    assert find_regions(class_map, CAMVID, [4], None) == []
    assert find_regions(class_map, CAMVID, [], None) == []


def test_regions_touch_by_a_corner_and_not_around_the_edge() -> None:
    class_map = np.full((4, 6), 255, np.uint8)
    class_map[0, 0] = class_map[1, 1] = 0  # by a corner
    class_map[2, 5] = class_map[3, 0] = 1  # neighbours in memory only
    sizes: list[npt.NDArray[np.intp]] = [region.runs for region in find_regions(class_map, CAMVID, ALL, None)]
    assert [len(runs) for runs in sizes] == [2, 1, 1]
