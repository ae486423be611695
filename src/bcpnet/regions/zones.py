"""Zones: parts of the picture that a user drew around, to ask what lies in them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
import numpy.typing as npt

from bcpnet.errors import InputError, UsageError
from bcpnet.storage.yaml_file import SchemaError, load_yaml, plain, shown

_Point = tuple[float, float]

_FARTHEST = 1e6  # pixels, of a corner
_POLYGON = f"three corners or more, each [x, y] in pixels, less than {_FARTHEST:g} from the corner"
_SIZE = re.compile(r"([1-9][0-9]{0,5})x([1-9][0-9]{0,5})")


@dataclass(frozen=True)
class Zone:
    """A polygon in the picture.

    Attributes:
        name: what the user calls it.
        points: three corners or more in turn, x and y, in pixels from the left top corner of a picture of `size_hw`.
            Where the sides cross each other, what they go around twice lies outside.
        size_hw: height and width of the picture in which the points were measured; masks of other sizes are scaled.
    """

    name: str
    points: Sequence[_Point]
    size_hw: tuple[int, int]

    def __post_init__(self) -> None:
        """Raises UsageError where there are fewer than three points, or one is no pair of finite numbers."""
        if not _is_polygon(self.points):
            raise UsageError(f"zone {self.name}: need {_POLYGON}")
        object.__setattr__(self, "points", tuple((float(x), float(y)) for x, y in self.points))  # one that hashes

    def mask(self, size_hw: tuple[int, int]) -> npt.NDArray[np.bool_]:
        """H x W bool: the pixels whose centres lie in the zone. Not to be written to."""
        return _mask(self, size_hw)


@lru_cache(maxsize=64)
def _mask(zone: Zone, size_hw: tuple[int, int]) -> npt.NDArray[np.bool_]:
    scale = [out / measured for out, measured in zip(size_hw[::-1], zone.size_hw[::-1], strict=True)]
    points = np.array(zone.points, np.float64) * scale
    mask = fill(points, size_hw)
    mask.flags.writeable = False
    return mask


def fill(points: npt.NDArray[np.float64], size_hw: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """H x W bool: the pixels whose centres lie in a polygon of N x 2 corners, x and y, by the even-odd rule."""
    height, width = size_hw
    crossings = np.zeros((height, width + 1), np.bool_)
    for (x0, y0), (x1, y1) in zip(points, np.roll(points, -1, axis=0), strict=True):
        # The rows whose centres this side passes: a corner at a centre counts for the side below it.
        first, stop = (int(np.clip(np.ceil(y - 0.5), 0, height)) for y in sorted((y0, y1)))
        rows = np.arange(first, stop)
        x = x0 + (rows + 0.5 - y0) * ((x1 - x0) / (y1 - y0)) if len(rows) else np.zeros(0)
        # From the first pixel on whose centre lies right of the side, inside and outside change.
        crossings[rows, np.clip(np.ceil(x - 0.5), 0, width).astype(np.intp)] ^= True
    return np.logical_xor.accumulate(crossings, axis=1)[:, :-1]


def read_zones(path: str | Path) -> list[Zone]:
    """Zones from a YAML file such as this::

        size: 720x960       # height x width of the picture in which the corners were measured
        zones:
          crossing: [[300, 420], [660, 420], [800, 719], [160, 719]]   # x, y, in pixels
          kerb: [[700, 400], [959, 500], [959, 719], [800, 719]]

    Raises:
        InputError: the file cannot be read, or is not like that.
    """
    path = Path(path)
    try:
        return _zones(load_yaml(path))
    except SchemaError as error:
        raise InputError(f"{path}: {error}") from error


def _zones(content: Any) -> list[Zone]:
    if not isinstance(content, dict) or set(content) != {"size", "zones"}:
        raise SchemaError("the file", "need the entries size and zones, and no others")
    size = _SIZE.fullmatch(content["size"]) if isinstance(content["size"], str) else None
    if size is None:
        raise SchemaError("size", f"{shown(content['size'])}: need height x width, for example 720x960")
    zones = content["zones"]
    if not isinstance(zones, dict) or not zones:
        raise SchemaError("zones", "need a name and corners for each zone")
    return [_zone(name, points, (int(size[1]), int(size[2]))) for name, points in zones.items()]


def _zone(name: object, points: object, size_hw: tuple[int, int]) -> Zone:
    if not isinstance(name, str) or not name:
        raise SchemaError(f"zones.{plain(name)}", "need a name that is a text")
    if not _is_polygon(points):
        raise SchemaError(f"zones.{plain(name)}", f"need {_POLYGON}")
    return Zone(name, points, size_hw)


def _is_polygon(points: object) -> TypeGuard[Sequence[_Point]]:
    return _is_sequence(points) and len(points) >= 3 and all(_is_point(point) for point in points)


def _is_point(point: object) -> bool:
    return _is_sequence(point) and len(point) == 2 and all(_is_coordinate(number) for number in point)


def _is_coordinate(number: Any) -> bool:
    is_number = isinstance(number, (int, float, np.integer, np.floating)) and not isinstance(number, bool)
    return is_number and bool(abs(number) < _FARTHEST)


def _is_sequence(value: object) -> TypeGuard[Sequence[object]]:
    return isinstance(value, (list, tuple, np.ndarray))
