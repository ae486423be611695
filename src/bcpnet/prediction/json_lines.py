"""What `bcpnet predict --json` says of a frame: docs/results.md and docs/predict-line.schema.json are its description.

The version changes where a reader of the lines would have to: an entry that goes, or means something else.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any

from bcpnet.errors import InputError
from bcpnet.prediction.predict import Prediction
from bcpnet.regions.region import Region
from bcpnet.regions.zones import Zone
from bcpnet.segmentation import Segmentation

VERSION = 1


def described(
    result: Segmentation, zones: Sequence[Zone] = (), regions: Sequence[str] = (), polygons: bool = False
) -> dict[str, Any]:
    """The entries that come from the result: size, shares, zones, regions.

    Args:
        result: of one frame.
        zones: those whose shares are told.
        regions: names of the classes whose regions are told.
        polygons: tell the regions' polygons, too.
    """
    height, width = result.class_map.shape
    entries: dict[str, Any] = {"height": height, "width": width, "shares": _rounded(result.shares())}
    if zones:
        entries["zones"] = {zone.name: _rounded(result.shares(zone)) for zone in zones}
    if regions:
        entries["regions"] = [_region(region, polygons) for region in result.regions(*regions)]
    return entries


def frame_line(done: Prediction) -> dict[str, Any]:
    """The line of a frame that is done, whose description has `described` in it."""
    frame = done.frame
    return {
        "version": VERSION,
        "path": frame.item.name,
        "frame": frame.index,
        "time_s": round(float(frame.time_s), 6),
        **_received(done),
        "ms": {stage: round(ms, 3) for stage, ms in done.timings_ms.items()},
        "files": [str(file) for file in done.files],
        **done.description.entries,
    }


def error_line(path: str, error: InputError) -> dict[str, Any]:
    """The line of what could not be read or written."""
    return {"version": VERSION, "path": path, "error": str(error)}


def _received(done: Prediction) -> dict[str, Any]:
    """Of a frame of a live source."""
    received = done.frame.received
    if received is None or done.age_ms is None:
        return {}
    captured = datetime.fromtimestamp(received.captured_s, timezone.utc).isoformat(timespec="milliseconds")
    return {"captured_at": captured, "age_ms": round(done.age_ms, 1), "dropped": received.dropped}


def _rounded(shares: dict[str, float]) -> dict[str, float]:
    return {name: round(share, 6) for name, share in shares.items()}


def _region(region: Region, polygons: bool) -> dict[str, Any]:
    return {
        "class": region.name,
        "area": region.area,
        "box_xywh": list(region.box_xywh),
        **({} if region.confidence is None else {"confidence": round(region.confidence, 4)}),
        **({"polygon": region.polygon.tolist()} if polygons else {}),
    }
