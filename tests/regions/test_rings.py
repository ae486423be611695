"""Outlines and polygons: filled by other tools they are the region again."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from class_maps import ClassMap, class_maps
from hypothesis import given, settings
from scipy import ndimage

from bcpnet.labels import CAMVID
from bcpnet.regions.region import find_regions
from bcpnet.regions.rings import rings
from bcpnet.regions.zones import fill

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of pycocotools
mask_tools = pytest.importorskip("pycocotools.mask", reason="compares with pycocotools")


def area(ring: npt.NDArray[np.intp]) -> float:
    """Signed: over 0 where it runs clockwise on a screen."""
    x, y = ring.T.astype(float)
    return float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum() / 2)


@settings(max_examples=50)
@given(class_map=class_maps)
def test_polygons_filled_by_pycocotools_are_the_region(class_map: ClassMap) -> None:
    for region in find_regions(class_map, CAMVID, range(11), None):
        flat = region.polygon.reshape(-1).tolist()
        filled = mask_tools.decode(mask_tools.merge(mask_tools.frPyObjects([flat], *class_map.shape)))
        np.testing.assert_array_equal(filled, region.mask)
        np.testing.assert_array_equal(fill(region.polygon.astype(float), class_map.shape), region.mask)


@settings(max_examples=50)
@given(class_map=class_maps)
def test_one_outline_and_a_ring_for_each_hole(class_map: ClassMap) -> None:
    for region in find_regions(class_map, CAMVID, range(11), None):
        outline, *holes = region.rings
        background = np.pad(~region.mask, 1, constant_values=True)
        assert len(holes) == ndimage.label(background)[1] - 1  # of pixels that touch by their sides
        assert area(outline) > 0
        assert all(area(hole) < 0 for hole in holes)
        assert sum(area(ring) for ring in region.rings) == region.area


def test_corners_only() -> None:
    mask = np.zeros((5, 6), np.bool_)
    mask[1:4, 1:5] = True
    mask[2, 2:4] = False
    outline, hole = rings(mask)
    assert outline.tolist() == [[1, 1], [5, 1], [5, 4], [1, 4]]
    assert sorted(hole.tolist()) == [[2, 2], [2, 3], [4, 2], [4, 3]]


def test_pixels_that_touch_by_a_corner_have_one_outline() -> None:
    for mask in (np.eye(4, dtype=np.bool_), np.eye(4, dtype=np.bool_)[::-1]):
        assert [len(ring) for ring in rings(mask)] == [16]
