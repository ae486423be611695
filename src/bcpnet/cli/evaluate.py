"""`bcpnet evaluate`: weights on a labelled split."""

from __future__ import annotations

import contextlib
import heapq
import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bcpnet.backends import open_backend
from bcpnet.cli.common import Flag, Name, Number, OptionalPath, Size, Status, chosen_backend, parse_size, print_json
from bcpnet.cli.complain import complain
from bcpnet.cli.interrupts import looked_at
from bcpnet.data import open_dataset
from bcpnet.data.base import Dataset
from bcpnet.data.seen import seen, split_name
from bcpnet.drawing import pictures as draw
from bcpnet.drawing.overlay import Picture
from bcpnet.errors import InputError, UsageError
from bcpnet.evaluation.evaluate import ClassMap, evaluate, format_table
from bcpnet.labels import ClassSet
from bcpnet.machine import describe_machine
from bcpnet.media.sources import save_image
from bcpnet.metrics import ConfusionMatrix
from bcpnet.pipeline import divide_threads
from bcpnet.prediction.outputs import Outputs
from bcpnet.weights import shipped

_WORST = 10  # pictures


@dataclass(frozen=True)
class Evaluate:
    """Score weights on a labelled split: IoU per class, mIoU, pixel accuracy, in %. For example:

    bcpnet evaluate --weights camvid --data camvid --root datasets/camvid --split test

    One confusion matrix over the split at the labels' own size, single scale, no flipping. Where the weights were
    trained on images of the split, a warning says so: such a score is too high.

    Attributes:
        weights: a name that ships (see `bcpnet models`), a .onnx or .safetensors file, or the folder of a run.
        data: camvid, cityscapes, folder or streets.
        root: the dataset's folder; for `folder`, its YAML file; none for `streets`.
        split: train, val or test, as the dataset has them; by default val, or test if the weights were trained on val.
        backend: native, onnxruntime, openvino or pytorch; by default what the weights call for; auto = the fastest
            here, by a trial of about a second that is remembered.
        size: height and width, in pixels, that images are resized to for the network; by default the short side it was
            trained for.
        threads: CPU threads, by default one per core; that many images (up to 8) are worked on at once.
        confusion: where to write the confusion matrix as a picture (PNG).
        worst: folder for pictures of the ten images with the lowest mIoU: image, label, prediction, errors.
        overwrite: let these pictures replace files that bcpnet did not write; else such files are kept, and told.
        json: print everything, the confusion matrix and the machine included, as JSON; miou, iou, accuracy and
            pixel_accuracy are shares, 0 to 1; seen_in_training is true, false, or null where the weights do not tell.
    """

    weights: str = "camvid"
    data: str = "camvid"
    root: OptionalPath = None
    split: Name = None
    backend: Name = None
    size: Size = None
    threads: Number = None
    confusion: OptionalPath = None
    worst: OptionalPath = None
    overwrite: Flag = False
    json: Flag = False


def run(options: Evaluate) -> int:
    """Evaluates and prints."""
    size_hw = None if options.size is None else parse_size(options.size)
    if options.confusion is not None and options.confusion.suffix.lower() != ".png":
        raise UsageError(f"{options.confusion}: the picture's name must end in .png")
    split = options.split or "val"
    dataset = open_dataset(options.data, options.root, split)
    workers, threads = divide_threads(options.threads, len(dataset))
    name = chosen_backend(options.backend, options.weights, size_hw, threads)
    backend = open_backend(options.weights, name, threads)
    known = backend.metadata.trained_on
    was_seen = seen(known, split_name(options.data, split, dataset.classes))
    if was_seen and options.split is None:
        split, dataset = "test", _labelled_test(options, dataset.classes)
        was_seen = seen(known, split_name(options.data, split, dataset.classes))
    if was_seen:
        unseen = _unseen_weights(options.data, split, dataset.classes)
        instead = f"choose weights that were not ({', '.join(unseen)})" if unseen else "choose another split"
        complain(f"warning: {_trained_on(options, split)}, so this score is too high; {instead}")
    with Status() as status, looked_at() as check:

        def report(done: int, total: int) -> None:
            status.show(f"image {done} of {total}")

        worst = _Worst(len(dataset.classes))
        watch = None if options.worst is None else worst.watch
        result = evaluate(backend, dataset, size_hw=size_hw, workers=workers, report=report, watch=watch, check=check)
    present = [label for label, row in zip(dataset.classes.names, result.confusion.counts, strict=True) if row.any()]
    if len(present) < 2:  # such as masks of 0 and 255, of which 255 does not count
        complain(
            f"warning: {present[0] if present else 'no class'} is all that the labels of {split} have, beside pixels "
            "that do not count, so this score says little; `bcpnet data check` tells more"
        )
    if options.json:
        names = {"weights": options.weights, "backend": backend.name, "dataset": options.data, "split": split}
        facts = {**names, "seen_in_training": was_seen, **result.as_dict(), "machine": describe_machine()}
        print_json(facts, indent=2)
    else:
        print(format_table(result.scores))
        caution = ", which the weights were trained on: too high a score" if was_seen else ""
        print(f"{result.images} images of {options.data} {split}, {backend.name}{caution}")
    # Pictures come last, so that a path that cannot be written costs no figures.
    written = True
    if options.confusion is not None:
        picture = draw.draw_confusion(result.confusion.counts, dataset.classes.names)
        written = _save(picture, options.confusion, options)
        if written:
            print(f"confusion matrix in {options.confusion}", file=sys.stderr if options.json else sys.stdout)
    if options.worst is not None:
        for name, picture in worst.pictures(dataset):
            written &= _save(picture, options.worst / name, options)
        print(f"the worst images in {options.worst}", file=sys.stderr if options.json else sys.stdout)
    return 0 if written else 1


def _save(picture: Picture, path: Path, options: Evaluate) -> bool:
    """Writes a picture, unless a file of that name is not ours: that is told, and the others go on.

    Raises InputError where it cannot be written.
    """
    try:
        Outputs(path.parent, overwrite=options.overwrite).keep_foreign(path)
    except InputError as error:
        complain(error)
        return False
    save_image(path, picture)
    return True


def _labelled_test(options: Evaluate, classes: ClassSet) -> Dataset:
    """The test split, in place of val. Raises UsageError, saying what to do, where it or its labels are not there."""
    with contextlib.suppress(InputError):
        dataset = open_dataset(options.data, options.root, "test")
        if len(dataset) > 0 and dataset[0].label is not None:
            return dataset
    unseen = _unseen_weights(options.data, "val", classes)
    instead = f"--weights that were not trained on val ({', '.join(unseen)})" if unseen else "a --split that has labels"
    raise UsageError(
        f"{_trained_on(options, 'val')}, and there is no test split with labels: "
        f"choose {instead}, or --split val for a score that is too high"
    )


def _trained_on(options: Evaluate, split: str) -> str:
    return f"{options.weights} was trained on images of {options.data} {split}"


def _unseen_weights(data: str, split: str, classes: ClassSet) -> list[str]:
    """Those that ship, for these classes, and were not trained on images of the split."""
    all_metadata = {name: open_backend(name).metadata for name in shipped()}
    name_of_split = split_name(data, split, classes)
    return [
        name
        for name, metadata in all_metadata.items()
        if metadata.classes.names == classes.names and seen(metadata.trained_on, name_of_split) is False
    ]


class _Worst:
    """The images with the lowest mIoU, each over the classes that occur in it."""

    def __init__(self, num_classes: int) -> None:
        self._num_classes = num_classes
        self._kept: list[tuple[float, int, ClassMap]] = []  # a heap; the best of the worst, which goes next, on top

    def watch(self, index: int, label: ClassMap, class_map: ClassMap) -> None:
        confusion = ConfusionMatrix(self._num_classes)
        confusion.update(label, class_map)
        miou = confusion.mean_iou()
        if not math.isnan(miou):  # an image that is all void has no score
            heapq.heappush(self._kept, (-miou, -index, class_map))
            if len(self._kept) > _WORST:
                heapq.heappop(self._kept)

    def pictures(self, dataset: Dataset) -> Iterator[tuple[str, Picture]]:
        """Draws them, the worst first, each with the name of its file."""
        for rank, (miou, index, class_map) in enumerate(sorted(self._kept, key=lambda kept: kept[:2], reverse=True), 1):
            sample = dataset[-index]
            assert sample.label is not None
            picture = draw.draw_errors(sample.image, sample.label, class_map, dataset.classes.palette())
            yield f"{rank:02}_{sample.name}_miou{-100 * miou:.0f}.jpg", picture
