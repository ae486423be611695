"""Zones: which pixels lie inside, and the file they are read from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bcpnet.errors import InputError, UsageError
from bcpnet.regions.zones import Zone, read_zones

coordinate = st.one_of(st.integers(-10, 40), st.floats(-10, 40, allow_nan=False))


@settings(max_examples=150)
@given(points=st.lists(st.tuples(coordinate, coordinate), min_size=3, max_size=8))
def test_even_odd_rule_at_the_centres(points: list[tuple[float, float]]) -> None:
    """The rule as it stands in textbooks: a ray to the right crosses an odd number of sides."""
    mask = Zone("zone", points, (24, 30)).mask((24, 30))
    for y, x in np.ndindex(24, 30):
        inside, near = False, False
        for (x0, y0), (x1, y1) in zip(points, [*points[1:], points[0]], strict=True):
            if (y0 > y + 0.5) != (y1 > y + 0.5):
                crossing = x0 + (y + 0.5 - y0) * ((x1 - x0) / (y1 - y0))
                inside ^= crossing > x + 0.5
                near |= abs(crossing - (x + 0.5)) < 1e-6
        assert mask[y, x] == inside or near


def test_a_box_is_its_pixels() -> None:
    expected = np.zeros((20, 30), np.bool_)
    expected[4:9, 3:11] = True
    for points in ([(3, 4), (11, 4), (11, 9), (3, 9)], np.array([[3, 9], [11, 9], [11, 4], [3, 4]], np.float32)):
        np.testing.assert_array_equal(Zone("box", points, (20, 30)).mask((20, 30)), expected)  # type: ignore[arg-type]


def test_neighbours_share_no_pixel() -> None:
    left = Zone("left", [(0, 0), (13.3, 0), (7.7, 20), (0, 20)], (20, 30)).mask((20, 30))
    right = Zone("right", [(13.3, 0), (30, 0), (30, 20), (7.7, 20)], (20, 30)).mask((20, 30))
    assert (left ^ right).all()


def test_scaled_to_the_frame() -> None:
    zone = Zone("zone", [(10, 20), (30, 20), (30, 40), (10, 40)], (100, 200))
    mask = zone.mask((50, 400))  # half as high, twice as wide
    assert np.argwhere(mask).min(axis=0).tolist() == [10, 20]
    assert np.argwhere(mask).max(axis=0).tolist() == [19, 59]
    assert not mask.flags.writeable  # it is kept for the next frame


@pytest.mark.parametrize("points", [[], [(0, 0), (1, 1)], [(0, 0), (1, 1), (2,)], [(0, 0), (1, 1), "ab"], "abc", 5])
@pytest.mark.parametrize("extra", [[], [(0, float("nan"))], [(0, True)], [(float("inf"), 1)], [None]])
def test_what_is_no_polygon(points: object, extra: list[object]) -> None:
    for wrong in (points, *([[(0, 0), (9, 0), (9, 9), *extra]] if extra else [])):
        with pytest.raises(UsageError, match="zone z: need three corners or more, each"):
            Zone("z", wrong, (10, 10))  # type: ignore[arg-type]


def test_read(tmp_path: Path) -> None:
    path = tmp_path / "zones.yaml"
    path.write_text(
        "size: 720x960\nzones:\n  crossing: [[300, 420], [660, 420.5], [800, 719]]\n  'no 2': [[0,0],[1,0],[1,1]]\n"
    )
    assert read_zones(path) == [
        Zone("crossing", ((300, 420), (660, 420.5), (800, 719)), (720, 960)),
        Zone("no 2", ((0, 0), (1, 0), (1, 1)), (720, 960)),
    ]
    assert read_zones(str(path))[0].mask((72, 96)).any()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "need the entries size and zones"),
        ("[1, 2]", "need the entries size and zones"),
        ("size: 720x960\n", "need the entries size and zones"),
        ("size: 720x960\nzones: {a: [[0,0],[1,0],[1,1]]}\ncolour: red\n", "and no others"),
        ("size: [720, 960]\nzones: {a: [[0,0],[1,0],[1,1]]}\n", r"size: \[720, 960\]: need height x width"),
        ("size: 0x960\nzones: {a: [[0,0],[1,0],[1,1]]}\n", "need height x width"),
        ("size: 720x960\nzones: {}\n", "zones: need a name and corners"),
        ("size: 720x960\nzones: [[0,0],[1,0],[1,1]]\n", "zones: need a name and corners"),
        ("size: 720x960\nzones: {1: [[0,0],[1,0],[1,1]]}\n", "zones.1: need a name that is a text"),
        ("size: 720x960\nzones: {a: [[0,0],[1,0]]}\n", "zones.a: need three corners"),
        ("size: 720x960\nzones: {a: [[0,0],[1,0],[1,x]]}\n", "zones.a: need three corners"),
        ("size: 720x960\nzones: {a: [[0,0],[1,0],[.nan,1]]}\n", "zones.a: need three corners"),
        ("size: 720x960\nzones: {a: {b: c}}\n", "zones.a: need three corners"),
        ("size: 720x960\nzones: {a: [[0,0],[1,0],[1,1]], a: [[0,0],[1,0],[1,1]]}\n", "line 2"),
        ("size: [", "line 1"),
    ],
)
def test_wrong_files(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "zones.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        read_zones(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.yaml: cannot read"):
        read_zones(tmp_path / "none.yaml")
