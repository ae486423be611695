"""Any backend on any labelled dataset: one confusion matrix over the split, and the scores it gives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from bcpnet.backends.base import Backend
from bcpnet.data.base import Dataset, Sample
from bcpnet.errors import InputError, UsageError
from bcpnet.frames.preprocess import checked_size_hw, network_size_hw, preprocess
from bcpnet.frames.upsample import upsample_argmax
from bcpnet.labels import ClassSet
from bcpnet.metrics import ConfusionMatrix, Scores
from bcpnet.pipeline import ordered_map

ClassMap = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Evaluation:
    """What a network scored on a split.

    Attributes:
        images: number of images evaluated.
        size_hw: network input size in pixels; None where images of several sizes called for several.
        scores: mIoU, pixel accuracy, IoU and accuracy per class.
        confusion: the matrix all of them come from.
    """

    images: int
    size_hw: tuple[int, int] | None
    scores: Scores
    confusion: ConfusionMatrix

    def as_dict(self) -> dict[str, Any]:
        """For JSON: images, size_hw, the scores as shares 0..1 (those per class by name), confusion (rows of ints)."""
        return {
            "images": self.images,
            "size_hw": self.size_hw,
            **asdict(self.scores),
            "confusion": self.confusion.counts.tolist(),
        }


def evaluate(
    backend: Backend,
    dataset: Dataset,
    *,
    size_hw: Sequence[int] | None = None,
    workers: int = 1,
    report: Callable[[int, int], None] | None = None,
    watch: Callable[[int, ClassMap, ClassMap], None] | None = None,
    check: Callable[[], None] | None = None,
) -> Evaluation:
    """Scores `backend` on every image of `dataset`: single scale, no flipping, at the labels' own resolution.

    Args:
        backend: the network; its classes must be those of the dataset, in the same order.
        dataset: a split with labels.
        size_hw: network input size in pixels; by default each image's short side becomes the one the weights
            were trained for.
        workers: number of images decoded at once, and of images segmented at once; the result does not depend on it.
        report: called after every image with the number done and the number in all.
        watch: called with each image's index, label and class map, in order.
        check: called several times a second; what it raises ends the evaluation.

    Raises:
        UsageError: the classes of network and dataset differ, or `size_hw` is not two ints of at least 32.
        InputError: the split is empty or has no labels, or a sample cannot be used; nothing is skipped, since
            a figure over part of a split is not the split's.
    """
    fixed_hw = checked_size_hw(size_hw)
    classes = dataset.classes
    require_same_classes(backend.metadata.classes, classes)
    if len(dataset) == 0:
        raise InputError("the split has no images: nothing to evaluate")
    confusion = ConfusionMatrix(len(classes))
    sizes_hw = set()
    segment = partial(_segment, backend, fixed_hw)
    samples = ordered_map(dataset.__getitem__, range(len(dataset)), workers)
    with closing(ordered_map(segment, samples, workers, check)) as segmented:
        for done, (label, class_map, input_hw, name) in enumerate(segmented, 1):
            sizes_hw.add(input_hw)
            try:
                confusion.update(label, class_map)
            except ValueError as error:
                raise InputError(f"{name}: {error}") from error
            if watch:
                watch(done - 1, label, class_map)
            if report:
                report(done, len(dataset))
    return Evaluation(
        images=len(dataset),
        size_hw=sizes_hw.pop() if len(sizes_hw) == 1 else None,
        scores=confusion.scores(classes.names),
        confusion=confusion,
    )


def require_same_classes(of_weights: ClassSet, wanted: ClassSet) -> None:
    """Raises UsageError, saying how they differ, unless both have the same class names in the same order."""
    if of_weights.names == wanted.names:
        return
    missing = [name for name in wanted.names if name not in of_weights.names]
    foreign = [name for name in of_weights.names if name not in wanted.names]
    differences = [f"the weights lack {', '.join(missing)}"] if missing else []
    differences += [f"only the weights have {', '.join(foreign)}"] if foreign else []
    raise UsageError(
        f"the weights know {len(of_weights)} classes ({of_weights.name}), "
        f"{wanted.name} has {len(wanted)}: {'; '.join(differences) or 'the same names in another order'}; "
        "use weights trained for these classes"
    )


def format_table(scores: Scores) -> str:
    """IoU and accuracy per class, then the means, in per cent, as aligned lines of text."""
    width = max(map(len, [*scores.iou, "pixel accuracy"]))
    lines = [f"{'class':{width}}  IoU, %  accuracy, %"]
    for name, iou in scores.iou.items():
        lines.append(f"{name:{width}}  {_percent(iou)}       {_percent(scores.accuracy[name])}")
    lines.append("-" * len(lines[0]))
    lines.append(f"{'mIoU':{width}}  {_percent(scores.miou)}")
    lines.append(f"{'pixel accuracy':{width}}  {_percent(scores.pixel_accuracy)}")
    return "\n".join(line.rstrip() for line in lines)


def _percent(share: float | None) -> str:
    return f"{'absent' if share is None else format(100 * share, '.2f'):>6}"


class _Segmented(NamedTuple):
    """A sample whose image was segmented at the resolution of its label."""

    label: ClassMap
    class_map: ClassMap
    input_hw: tuple[int, int]
    name: str


def _segment(backend: Backend, fixed_hw: tuple[int, int] | None, sample: Sample) -> _Segmented:
    image, label, name = sample
    if label is None:
        raise InputError(f"{name}: has no label; evaluate on a split that has labels")
    height, width = image.shape[:2]
    input_hw = fixed_hw or network_size_hw((height, width), backend.metadata.short_side)
    logits = backend(preprocess(image, input_hw)[None])[0]
    label_height, label_width = label.shape
    return _Segmented(label, upsample_argmax(logits, (label_height, label_width)), input_hw, name)
