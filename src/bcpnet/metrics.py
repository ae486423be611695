"""How good a class map is: an int64 confusion matrix, IoU per class, mIoU.

The definition is that of the official Cityscapes script: one confusion matrix over the whole split,
IoU = TP / (TP + FP + FN), the mean over the classes that occur in ground truth or prediction. Where the
ground truth is 255 (ignore) the pixel does not count at all, whatever was predicted there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

IGNORE = 255  # as in labels.py; this module stands alone


@dataclass(frozen=True)
class Scores:
    """What a confusion matrix says, ready for JSON; None stands for "no such pixel".

    Attributes:
        miou: mean IoU over the classes present, 0..1; None where no pixel counts.
        pixel_accuracy: share of the counted pixels that are right, 0..1; None where no pixel counts.
        iou: IoU by class name; None for a class in neither ground truth nor prediction.
        accuracy: share of each class's ground truth that is right (recall); None where there is none.
    """

    miou: float | None
    pixel_accuracy: float | None
    iou: dict[str, float | None]
    accuracy: dict[str, float | None]


class ConfusionMatrix:
    """Counts pixels by true and predicted class.

    Attributes:
        counts: K x K int64, rows = ground truth, columns = prediction. Matrices of parts of a split add up to
            that of the whole: `a.counts += b.counts`.
    """

    def __init__(self, num_classes: int) -> None:
        """An empty matrix of 1 to 255 classes."""
        if not 1 <= num_classes <= IGNORE:
            raise ValueError(f"{num_classes} classes: need 1 to {IGNORE}")
        self.counts: npt.NDArray[np.int64] = np.zeros((num_classes, num_classes), np.int64)

    def update(self, label: npt.NDArray[np.uint8], prediction: npt.NDArray[np.uint8]) -> None:
        """Adds the pixels of one image or of many.

        Args:
            label: any shape, uint8 train ids, 255 = ignore.
            prediction: the same shape, uint8 train ids; not looked at where the label is 255.

        Raises:
            ValueError: shapes differ, an array is not uint8, or a value is no class. Nothing is added then.
        """
        if label.shape != prediction.shape:
            raise ValueError(f"the label is {label.shape}, the prediction {prediction.shape}")
        if label.dtype != np.uint8 or prediction.dtype != np.uint8:
            raise ValueError(f"need uint8, got a {label.dtype} label and a {prediction.dtype} prediction")
        num_classes = len(self.counts)
        # One histogram over all 65,536 pairs of bytes: no masks to build, and wrong values show up in it.
        pairs = (label.astype(np.uint16) << 8) | prediction
        histogram = np.bincount(pairs.ravel(), minlength=1 << 16).reshape(256, 256)
        allowed = f"the classes are 0 to {num_classes - 1}"
        wrong = np.flatnonzero(histogram[num_classes:IGNORE].any(axis=1))
        if wrong.size:
            raise ValueError(f"label value {num_classes + wrong[0]}: {allowed}, {IGNORE} is ignored")
        wrong = np.flatnonzero(histogram[:num_classes, num_classes:].any(axis=0))
        if wrong.size:
            raise ValueError(f"predicted value {num_classes + wrong[0]}: {allowed}")
        self.counts += histogram[:num_classes, :num_classes]

    def iou(self) -> npt.NDArray[np.float64]:
        """K float64: TP / (TP + FP + FN); NaN for a class in neither ground truth nor prediction."""
        right = np.diagonal(self.counts)
        return _ratio(right, self.counts.sum(axis=0) + self.counts.sum(axis=1) - right)

    def class_accuracy(self) -> npt.NDArray[np.float64]:
        """K float64: TP / (TP + FN), the recall; NaN for a class not in the ground truth."""
        return _ratio(np.diagonal(self.counts), self.counts.sum(axis=1))

    def mean_iou(self) -> float:
        """Mean of `iou` over the classes present; NaN where no pixel counts."""
        iou = self.iou()
        present = ~np.isnan(iou)
        return float(iou[present].mean()) if present.any() else float("nan")

    def pixel_accuracy(self) -> float:
        """Share of the counted pixels that are right; NaN where no pixel counts."""
        total = int(self.counts.sum())
        return int(np.trace(self.counts)) / total if total else float("nan")

    def scores(self, names: Sequence[str]) -> Scores:
        """All of the above by class name, for tables and JSON.

        Raises:
            ValueError: not one name of its own per class.
        """
        if len(names) != len(self.counts) or len(set(names)) != len(names):
            raise ValueError(f"{len(self.counts)} classes need as many different names, got {list(names)}")
        return Scores(
            miou=_or_none(self.mean_iou()),
            pixel_accuracy=_or_none(self.pixel_accuracy()),
            iou=dict(zip(names, map(_or_none, self.iou()), strict=True)),
            accuracy=dict(zip(names, map(_or_none, self.class_accuracy()), strict=True)),
        )


def _ratio(part: npt.NDArray[np.int64], whole: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """part / whole, NaN where whole is 0."""
    ratio = np.full(part.shape, np.nan)
    np.divide(part, whole, out=ratio, where=whole > 0)
    return ratio


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
