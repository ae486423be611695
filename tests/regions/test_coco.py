"""COCO's JSON: pycocotools and supervision read every pixel back."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from class_maps import ClassMap, class_maps, made, result_of
from hypothesis import given, settings
from PIL import Image

from bcpnet.errors import UsageError
from bcpnet.labels import CAMVID, ClassSet
from bcpnet.segmentation import Segmentation

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of pycocotools


def read_back(path: Path) -> list[ClassMap]:
    """The class map of each image of a COCO file, by pycocotools."""
    coco = pytest.importorskip("pycocotools.coco", reason="compares with pycocotools").COCO(str(path))
    found = []
    for image in coco.loadImgs(coco.getImgIds()):
        class_map = np.full((image["height"], image["width"]), 255, np.uint8)
        for annotation in coco.loadAnns(coco.getAnnIds(image["id"])):
            mask = coco.annToMask(annotation).astype(np.bool_)
            assert (class_map[mask] == 255).all()  # no pixel twice
            class_map[mask] = annotation["category_id"] - 1
            y, x = np.nonzero(mask)
            assert annotation["area"] == mask.sum()
            assert annotation["bbox"] == [x.min(), y.min(), x.max() + 1 - x.min(), y.max() + 1 - y.min()]
        found.append(class_map)
    return found


@pytest.mark.parametrize("polygons", [False, True])
@settings(max_examples=25)
@given(class_map=class_maps)
def test_pycocotools_reads_every_pixel(
    polygons: bool, class_map: ClassMap, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("coco") / "coco.json"
    path.write_text(json.dumps(result_of(class_map).to_coco("a.png", polygons)))
    np.testing.assert_array_equal(read_back(path)[0], class_map)


def test_many_images_in_one_file(tmp_path: Path) -> None:
    maps = [made(kind, (20, 31), seed) for seed, kind in enumerate(("patches", "one", "noise"))]
    dataset = None
    for index, class_map in enumerate(maps):
        dataset = result_of(class_map).to_coco(f"{index}.png", index == 2, into=dataset)
    assert dataset is not None
    for part in ("images", "annotations"):
        assert [each["id"] for each in dataset[part]] == list(range(1, len(dataset[part]) + 1))
    assert [image["file_name"] for image in dataset["images"]] == ["0.png", "1.png", "2.png"]
    assert [each["name"] for each in dataset["categories"]] == list(CAMVID.names)
    (tmp_path / "coco.json").write_text(json.dumps(dataset))
    for found, class_map in zip(read_back(tmp_path / "coco.json"), maps, strict=True):
        np.testing.assert_array_equal(found, class_map)


def test_other_classes_do_not_go_into_one_file() -> None:
    dataset = result_of(made("patches", (8, 9), 0)).to_coco("a.png")
    other = Segmentation(
        np.zeros((2, 2, 3), np.uint8), np.zeros((2, 2), np.uint8), ClassSet("x", ("y",), ((0, 0, 0),)), {}
    )
    for into in (dataset, {}, {"categories": []}):
        with pytest.raises(UsageError, match="results of the same classes"):
            other.to_coco("b.png", into=into)


@pytest.mark.parametrize("polygons", [False, True])
def test_scores_are_mean_confidences(polygons: bool) -> None:
    class_map = made("patches", (40, 50), 3)
    class_map[class_map == 255] = 5
    result = result_of(class_map, n_logits=5)
    for annotation, region in zip(
        result.to_coco("a.png", polygons)["annotations"],
        result.regions() if polygons else result._whole_classes(),
        strict=True,
    ):
        assert annotation["score"] == pytest.approx(result.confidence[region.mask].mean() / 255, abs=1e-4)
    assert all("score" not in each for each in result_of(class_map).to_coco("a.png", polygons)["annotations"])


def test_supervision_reads_every_pixel(tmp_path: Path) -> None:
    supervision = pytest.importorskip("supervision", reason="compares with supervision")
    class_map = made("patches", (60, 80), 5)
    Image.fromarray(np.zeros((60, 80, 3), np.uint8)).save(tmp_path / "a.png")
    (tmp_path / "coco.json").write_text(json.dumps(result_of(class_map).to_coco("a.png")))
    dataset = supervision.DetectionDataset.from_coco(str(tmp_path), str(tmp_path / "coco.json"), force_masks=True)
    assert dataset.classes == list(CAMVID.names)
    ((_, _, detections),) = list(dataset)
    found = np.full(class_map.shape, 255, np.uint8)
    for mask, label in zip(detections.mask, detections.class_id, strict=True):
        found[np.asarray(mask)] = label
    np.testing.assert_array_equal(found, class_map)
