"""COCO's JSON of class maps: run-length codes of classes, or polygons of regions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from bcpnet.labels import ClassSet
from bcpnet.regions.region import Region
from bcpnet.regions.rle import class_rles

Annotation = dict[str, Any]


def class_annotations(class_map: npt.NDArray[np.uint8], whole: Sequence[Region]) -> list[Annotation]:
    """One annotation for each class that is there: its mask as a run-length code.

    Args:
        class_map: H x W uint8, 255 = ignore.
        whole: `whole_classes` of it.
    """
    counts = class_rles(class_map)
    size = list(class_map.shape)
    return [_annotation(region, {"size": size, "counts": counts[region.label]}) for region in whole]


def region_annotations(regions: Sequence[Region]) -> list[Annotation]:
    """One annotation for each region: its polygon, around the pixels; cuts lead to its holes."""
    return [_annotation(region, [region.polygon.reshape(-1).tolist()]) for region in regions]


def _annotation(region: Region, segmentation: object) -> Annotation:
    return {
        "category_id": region.label + 1,
        "segmentation": segmentation,
        "area": region.area,
        "bbox": list(region.box_xywh),
        "iscrowd": 0,
        **({} if region.confidence is None else {"score": round(region.confidence, 4)}),
    }


def new_dataset(classes: ClassSet) -> dict[str, Any]:
    """A COCO file without images. Categories are numbered from 1, as COCO's tools expect: the class index + 1."""
    return {
        "info": {"contributor": "bcpnet", "description": f"classes of {classes.name}"},
        "licenses": [],
        "categories": [
            {"id": index + 1, "name": name, "supercategory": classes.name} for index, name in enumerate(classes.names)
        ],
        "images": [],
        "annotations": [],
    }


def add_image(
    dataset: dict[str, Any], file_name: str, size_hw: tuple[int, int], annotations: Sequence[Annotation]
) -> None:
    """Adds an image and its annotations; their ids, whatever they were, go on from those that are there."""
    height, width = size_hw
    image_id = len(dataset["images"]) + 1
    dataset["images"].append({"id": image_id, "file_name": file_name, "height": height, "width": width})
    first = len(dataset["annotations"]) + 1
    dataset["annotations"] += [
        {**annotation, "id": first + index, "image_id": image_id} for index, annotation in enumerate(annotations)
    ]
