"""`supervision.Detections` of classes and of regions."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from class_maps import made, result_of

from bcpnet.errors import UsageError

CLASS_MAP = made("patches", (60, 80), 1)


def test_one_for_each_class() -> None:
    supervision = pytest.importorskip("supervision")
    detections = result_of(CLASS_MAP).to_supervision()
    assert detections.class_id.tolist() == sorted(set(CLASS_MAP[CLASS_MAP != 255].tolist()))
    assert detections.confidence is None
    for mask, label, name in zip(detections.mask, detections.class_id, detections.data["class_name"], strict=True):
        np.testing.assert_array_equal(mask, label == CLASS_MAP)
        assert name == result_of(CLASS_MAP).classes.names[label]
    boxes = supervision.mask_to_xyxy(detections.mask)  # to the last pixel, not beyond it
    np.testing.assert_array_equal(detections.xyxy, boxes + np.array([0, 0, 1, 1]))


def test_one_for_each_region() -> None:
    pytest.importorskip("supervision")
    result = result_of(CLASS_MAP % 11, n_logits=4)
    regions = result.regions("sky", "pole", min_area=3)
    detections = result.to_supervision(regions)
    assert len(detections) == len(regions) > 1
    np.testing.assert_array_equal(detections.mask, [region.mask for region in regions])
    np.testing.assert_allclose(detections.confidence, [region.confidence for region in regions], rtol=1e-6)
    assert set(detections.data["class_name"]) <= {"sky", "pole"}


def test_none() -> None:
    pytest.importorskip("supervision")
    assert len(result_of(np.full((4, 5), 255, np.uint8)).to_supervision()) == 0
    assert len(result_of(CLASS_MAP).to_supervision([])) == 0


def test_without_supervision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(UsageError, match="pip install supervision"):
        result_of(CLASS_MAP).to_supervision()
