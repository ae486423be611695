"""What `bcpnet predict` tells of a frame beside its pictures: entries of a JSON line, annotations of a COCO file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from bcpnet.prediction.json_lines import described
from bcpnet.regions.coco import Annotation
from bcpnet.regions.zones import Zone
from bcpnet.segmentation import Segmentation


class Description(NamedTuple):
    """Of one frame.

    Attributes:
        entries: of its JSON line, as `bcpnet.prediction.json_lines.described` gives them.
        annotations: for `CocoFile.add`.
    """

    entries: dict[str, Any]
    annotations: list[Annotation]


@dataclass(frozen=True)
class Describe:
    """Makes descriptions: the `describe` of `bcpnet.prediction.predict.predict`.

    Attributes:
        json: whether JSON lines are wanted.
        coco: whether COCO annotations are.
        zones: whose shares are told.
        regions: names of the classes whose regions are told.
        polygons: give polygons of regions in both; without, COCO gets run-length codes of classes.
    """

    json: bool = False
    coco: bool = False
    zones: Sequence[Zone] = ()
    regions: Sequence[str] = ()
    polygons: bool = False

    def __call__(self, result: Segmentation) -> Description:
        """Describes one result."""
        entries = described(result, self.zones, self.regions, self.polygons) if self.json else {}
        annotations = result.to_coco("", self.polygons)["annotations"] if self.coco else []
        return Description(entries, annotations)
