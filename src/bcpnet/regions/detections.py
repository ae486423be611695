"""Regions as `supervision.Detections`. Needs the package supervision, which bcpnet does not install."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from bcpnet.errors import UsageError
from bcpnet.regions.region import Region

if TYPE_CHECKING:
    from supervision import Detections


def detections(regions: Sequence[Region]) -> Detections:
    """A detection of each region, with its mask, box, class, class name and, where known, confidence.

    Raises:
        UsageError: supervision is not installed.
    """
    try:
        from supervision import Detections
    except ImportError as error:
        raise UsageError("to_supervision needs the package supervision: pip install supervision") from error
    if not regions:
        return Detections.empty()
    boxes = np.array([region.box_xywh for region in regions], np.float32)
    boxes[:, 2:] += boxes[:, :2]
    confidences = [region.confidence for region in regions if region.confidence is not None]
    return Detections(
        xyxy=boxes,
        mask=np.stack([region.mask for region in regions]),
        class_id=np.array([region.label for region in regions]),
        confidence=np.array(confidences, np.float32) if len(confidences) == len(regions) else None,
        data={"class_name": np.array([region.name for region in regions])},
    )
