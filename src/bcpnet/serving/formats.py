"""What the service answers with: which output a request wants, and results as bytes of it."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, get_args

from PIL import Image

from bcpnet.media.class_map_png import class_map_png
from bcpnet.segmentation import Segmentation
from bcpnet.serving.bounds import RefusedError

Output = Literal["ids", "palette", "overlay", "confidence", "json", "polygons"]
_OUTPUTS: tuple[Output, ...] = get_args(Output)

_MEDIA_TYPES: dict[Output, str] = {
    "ids": "image/png",
    "palette": "image/png",
    "overlay": "image/jpeg",
    "confidence": "image/png",
    "json": "application/json",
    "polygons": "application/json",
}
# What a media type in Accept means where `output` says nothing; the first is also what "*/*" means.
_OF_ACCEPT: dict[str, Output] = {
    "image/png": "ids",
    "application/json": "json",
    "image/jpeg": "overlay",
    "application/zip": "ids",
}
_MOST_ACCEPTED = 20
_DECIMALS = 6
_OF_MASKS = ("area", "bbox", "score", "segmentation")  # as COCO has them


class Content(NamedTuple):
    """The body of an answer and its media type."""

    data: bytes
    media_type: str


class Entry(NamedTuple):
    """What became of one image.

    Attributes:
        value: the bytes of a picture, or what stands in the JSON; None = there is no result.
        error: why not.
        ms: milliseconds by stage: decode, pre, network, post, encode.
    """

    value: bytes | dict[str, Any] | None
    error: RefusedError | None = None
    ms: dict[str, float] | None = None


def chosen_output(named: str | None, accept: str | None) -> Output:
    """What a request wants: `named` by the query, else the best of the header Accept.

    Raises:
        RefusedError: 400 for an unknown name, 406 where nothing that is accepted is to be had.
    """
    if named is not None:
        for output in _OUTPUTS:
            if named == output:
                return output
        raise RefusedError(400, f"unknown output: choose from {', '.join(_OUTPUTS)}")
    wanted = [_accepted(text) for text in (accept or "*/*").split(",")[:_MOST_ACCEPTED]]
    for quality, media_type in sorted(wanted, key=lambda pair: -pair[0]):  # stable: the client's own order counts
        for offered, output in _OF_ACCEPT.items():
            if quality > 0 and media_type in (offered, f"{offered.partition('/')[0]}/*", "*/*"):
                return output
    raise RefusedError(406, f"nothing that is accepted is to be had: accept one of {', '.join(_OF_ACCEPT)}")


def _accepted(text: str) -> tuple[float, str]:
    """Quality and media type: "image/png; q=0.5"."""
    media_type, _, parameters = text.partition(";")
    try:
        quality = float(parameters.replace(" ", "").rpartition("q=")[2] or 1)
    except ValueError:
        quality = 1.0
    return quality, media_type.strip().lower()


def encode(result: Segmentation, output: Output) -> bytes | dict[str, Any]:
    """A PNG or JPEG file, or what stands in the JSON."""
    if output in ("json", "polygons"):
        return _description(result, output == "polygons")
    if output == "ids":
        return class_map_png(result.class_map)
    if output == "palette":
        return class_map_png(result.class_map, result.classes.palette())
    data = io.BytesIO()
    if output == "confidence":
        Image.fromarray(result.confidence).save(data, "PNG", compress_level=1)
    else:
        result.overlay().save(data, "JPEG", quality=90)
    return data.getvalue()


def content(entries: Sequence[Entry], output: Output, model: str) -> Content:
    """The body of the answer: JSON, or of one image a picture, of several a ZIP of pictures.

    Raises:
        RefusedError: that of the first image, where none has a result.
    """
    if all(entry.value is None for entry in entries):
        assert entries[0].error is not None
        raise entries[0].error
    media_type = _MEDIA_TYPES[output]
    if media_type == "application/json":
        images = [{"error": str(entry.error)} if entry.value is None else entry.value for entry in entries]
        return Content(json.dumps({"model": model, "images": images}).encode(), media_type)
    if len(entries) == 1:
        assert isinstance(entries[0].value, bytes)
        return Content(entries[0].value, media_type)
    return Content(_zip(entries, "jpg" if media_type == "image/jpeg" else "png"), "application/zip")


def _description(result: Segmentation, polygons: bool) -> dict[str, Any]:
    height, width = result.class_map.shape
    return {
        "width": width,
        "height": height,
        "confidence": round(float(result.confidence.mean()) / 255, _DECIMALS),
        "shares": {name: round(share, _DECIMALS) for name, share in result.shares().items()},
        "masks": [
            {"class": result.classes.names[mask["category_id"] - 1], **{key: mask[key] for key in _OF_MASKS}}
            for mask in result.to_coco("", polygons)["annotations"]
        ],
    }


def _zip(entries: Sequence[Entry], suffix: str) -> bytes:
    """0.png, 1.png ..., in the order of the images; for one without a result 2.json, which says why."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:  # stored: pictures are compressed
        for index, entry in enumerate(entries):
            if isinstance(entry.value, bytes):
                archive.writestr(f"{index}.{suffix}", entry.value)
            else:
                archive.writestr(f"{index}.json", json.dumps({"error": str(entry.error)}))
    return data.getvalue()
