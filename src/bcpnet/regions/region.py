"""One connected region of a class map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from bcpnet.labels import ClassSet
from bcpnet.regions.components import Runs, connect, extents, find_runs, run_sums
from bcpnet.regions.rings import joined, rings

_Bytes = npt.NDArray[np.uint8]
_Ring = npt.NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Region:
    """Pixels of one class that touch, also by a corner.

    Attributes:
        name: of the class.
        label: of the class: its index.
        area: number of pixels.
        box_xywh: left, top, width and height, in pixels.
        confidence: mean probability of the class over its pixels, 0..1; None where the result has no logits.
        size_hw: height and width of the class map, in pixels.
        runs: n x 3: row, first column, and column after the last, of each run of its pixels.
    """

    name: str
    label: int
    area: int
    box_xywh: tuple[int, int, int, int]
    confidence: float | None
    size_hw: tuple[int, int]
    runs: npt.NDArray[np.intp]

    def __repr__(self) -> str:
        """The class, pixels, box and confidence."""
        sure = "" if self.confidence is None else f", confidence {self.confidence:.2f}"
        return f"<Region: {self.name}, {self.area} pixels in {self.box_xywh}{sure}>"

    @property
    def mask(self) -> npt.NDArray[np.bool_]:
        """Its pixels, H x W bool."""
        mask = np.zeros(self.size_hw, np.bool_)
        for y, start, stop in self.runs.tolist():
            mask[y, start:stop] = True
        return mask

    @cached_property
    def rings(self) -> list[_Ring]:
        """Its outline, then those of its holes, each N x 2 pixel corners, x and y; the last is joined to the first.

        Along the edges of the pixels, so that pixel (x, y) lies between x and x + 1, y and y + 1. The outline runs
        clockwise on a screen, and holes the other way round.
        """
        left, top, width, height = self.box_xywh
        crop = np.zeros((height, width), np.bool_)
        for y, start, stop in self.runs.tolist():
            crop[y - top, start - left : stop - left] = True
        return [ring + np.array((left, top)) for ring in rings(crop)]

    @property
    def polygon(self) -> _Ring:
        """Its outline as N x 2 pixel corners, x and y; from it cuts lead to its holes and the same way back.

        Filled by the even-odd rule it is the region.
        """
        return joined(self.rings[0], self.rings[1:])


def find_regions(
    class_map: _Bytes, classes: ClassSet, labels: Sequence[int], confidence: _Bytes | None, min_area: int = 1
) -> list[Region]:
    """The connected regions of some classes, the largest first.

    Args:
        class_map: H x W uint8.
        classes: its classes.
        labels: indices of those that are looked for.
        confidence: H x W uint8, 255 = certain; None = not known.
        min_area: the fewest pixels of a region.
    """
    runs = find_runs(class_map, labels)
    found = _grouped(runs, connect(runs), classes, class_map.shape, confidence)
    return sorted((region for region in found if region.area >= min_area), key=lambda region: -region.area)


def whole_classes(class_map: _Bytes, classes: ClassSet, confidence: _Bytes | None) -> list[Region]:
    """All pixels of each class that is there, as if they touched; in the order of the classes.

    The arguments are those of `find_regions`.
    """
    runs = find_runs(class_map, range(len(classes)))
    group = np.unique(runs.label, return_inverse=True)[1].reshape(-1)
    return _grouped(runs, group, classes, class_map.shape, confidence)


def _grouped(
    runs: Runs, group: npt.NDArray[np.intp], classes: ClassSet, size_hw: tuple[int, ...], confidence: _Bytes | None
) -> list[Region]:
    """A region of each group of runs; `group` has the group of each run, 0 to m - 1, none empty."""
    areas, boxes = extents(runs, group)
    by_group = np.argsort(group, kind="stable")
    table = np.stack(runs[:3], axis=1)[by_group]
    stops = np.cumsum(np.bincount(group, minlength=len(areas))).tolist()
    sums_of = None if confidence is None else np.bincount(group, run_sums(confidence, runs), len(areas))
    found = []
    for index, (first, stop) in enumerate(zip([0, *stops], stops, strict=False)):
        label, area = int(runs.label[by_group[first]]), int(areas[index])
        left, top, width, height = boxes[index].tolist()
        mean = None if sums_of is None else float(sums_of[index] / area / 255)
        box = (left, top, width, height)
        found.append(Region(classes.names[label], label, area, box, mean, (size_hw[0], size_hw[1]), table[first:stop]))
    return found
