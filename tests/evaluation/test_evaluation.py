"""Evaluation with a backend that knows the answer from the colours."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from bcpnet.data.base import Sample
from bcpnet.errors import InputError, UsageError
from bcpnet.evaluation.evaluate import Evaluation, evaluate, format_table, require_same_classes
from bcpnet.labels import CAMVID, CITYSCAPES, IGNORE, ClassSet
from bcpnet.metadata import Metadata
from bcpnet.metrics import ConfusionMatrix

# Class k is painted with the grey value 60 * k.
CLASSES = ClassSet(
    "greys", ("black", "dark", "light", "never"), ((0, 0, 0), (60, 60, 60), (120, 120, 120), (180, 180, 180))
)


class ColourBackend:
    """Logits at stride 8: the highest for the class whose grey is nearest to the cell's middle pixel."""

    name = "colours"

    def __init__(self, classes: ClassSet = CLASSES, short_side: int = 64) -> None:
        self.metadata = Metadata("none", {}, classes, short_side)
        self.seen_hw: list[tuple[int, ...]] = []

    def __call__(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        self.seen_hw.append(images.shape[1:3])
        grey = images[:, 4::8, 4::8, 0].astype(np.float32)
        values = np.arange(len(self.metadata.classes), dtype=np.float32)[:, None, None] * 60
        logits: npt.NDArray[np.float32] = -((grey[:, None] - values) ** 2)
        return logits


class ListDataset:
    def __init__(self, samples: Sequence[Sample], classes: ClassSet = CLASSES) -> None:
        self.samples, self.classes = samples, classes

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Sample:
        return self.samples[index]


def sample(label: npt.NDArray[np.uint8], name: str = "frame") -> Sample:
    """The label with its picture: greys for the classes, white where ignored."""
    grey = np.where(label == IGNORE, np.uint8(255), label * np.uint8(60))
    return Sample(np.repeat(grey[:, :, None], 3, axis=2), label, name)


def stripes(hw: tuple[int, int], order: Sequence[int]) -> npt.NDArray[np.uint8]:
    """Upright stripes of equal width, one per entry of `order`."""
    return np.repeat(np.array(order, np.uint8), hw[1] // len(order))[None].repeat(hw[0], axis=0)


def test_perfect_but_for_the_borders_of_the_stripes() -> None:
    label = stripes((64, 96), [0, 1, 2])
    result = evaluate(ColourBackend(), ListDataset([sample(label)]))
    assert result.images == 1
    assert result.size_hw == (64, 96)
    assert result.confusion.counts.sum() == label.size
    assert result.scores.iou["never"] is None
    assert result.scores.miou is not None
    assert result.scores.miou > 0.99


def test_the_count_is_of_label_pixels_whatever_the_network_size() -> None:
    """Images of several sizes, each scored at its label's own size; ignored pixels are left out."""
    labels = [stripes((80, 120), [2, 1, 0]), stripes((150, 90), [1, IGNORE, 0])]
    backend = ColourBackend(short_side=64)
    result = evaluate(backend, ListDataset([sample(label) for label in labels]))
    assert result.confusion.counts.sum() == 80 * 120 + 150 * 60
    assert result.scores.pixel_accuracy is not None
    assert result.scores.pixel_accuracy > 0.9
    assert backend.seen_hw == [(64, 96), (104, 64)]
    assert result.size_hw is None  # two sizes


def test_a_given_network_size_is_used_for_every_image() -> None:
    backend = ColourBackend()
    dataset = ListDataset([sample(stripes((80, 120), [0, 1])), sample(stripes((40, 40), [1, 2]))])
    result = evaluate(backend, dataset, size_hw=(96, 128))
    assert backend.seen_hw == [(96, 128)] * 2
    assert result.size_hw == (96, 128)


def test_a_label_of_its_own_resolution_sets_the_resolution_of_the_score() -> None:
    image, _, name = sample(stripes((64, 96), [0, 1]))
    result = evaluate(ColourBackend(), ListDataset([Sample(image, stripes((128, 192), [0, 1]), name)]))
    assert result.confusion.counts.sum() == 128 * 192


def test_images_meet_their_own_labels_in_order() -> None:
    """Twenty images with a class each: reading ahead must not mix them up, and every one counts once."""
    dataset = ListDataset([sample(np.full((32, 32 + 8 * i), i % 3, np.uint8)) for i in range(20)])
    reported: list[tuple[int, int]] = []
    backend = ColourBackend(short_side=32)
    result = evaluate(backend, dataset, report=lambda *args: reported.append(args))
    assert backend.seen_hw == [(32, 32 + 8 * i) for i in range(20)]
    assert result.scores.miou == 1.0
    assert result.confusion.counts.sum() == sum(32 * (32 + 8 * i) for i in range(20))
    assert reported == [(done, 20) for done in range(1, 21)]


def test_workers_change_nothing_but_the_speed() -> None:
    rng = np.random.default_rng(0)
    samples = [sample(rng.integers(0, 3, (40 + 8 * (i % 3), 48), np.uint8), f"{i}") for i in range(12)]
    expected = evaluate(ColourBackend(short_side=32), ListDataset(samples))
    reported: list[int] = []
    result = evaluate(
        ColourBackend(short_side=32), ListDataset(samples), workers=3, report=lambda done, _: reported.append(done)
    )
    np.testing.assert_array_equal(result.confusion.counts, expected.confusion.counts)
    assert result.scores == expected.scores
    assert reported == list(range(1, 13))


def test_the_first_bad_sample_is_the_one_reported() -> None:
    good = sample(stripes((32, 32), [0, 1]))
    samples = [good, good, Sample(good.image, None, "third"), Sample(good.image, None, "fourth")]
    with pytest.raises(InputError, match="third: has no label"):
        evaluate(ColourBackend(short_side=32), ListDataset(samples), workers=4)


def test_reading_ahead_is_bounded() -> None:
    """While the network stands at the first image, only a handful may have been decoded."""
    read: list[int] = []

    class Counting(ListDataset):
        def __getitem__(self, index: int) -> Sample:
            read.append(index)
            return super().__getitem__(index)

    ahead_of: list[int] = []
    dataset = Counting([sample(stripes((32, 32), [0, 1]))] * 40)
    evaluate(ColourBackend(short_side=32), dataset, report=lambda done, _: ahead_of.append(len(read) - done))
    assert read == list(range(40))
    assert max(ahead_of) <= 8


def test_no_thread_is_left_when_a_sample_is_bad() -> None:
    class Broken(ListDataset):
        def __getitem__(self, index: int) -> Sample:
            if index == 3:
                raise InputError("d.png: truncated")
            return super().__getitem__(index)

    before = threading.active_count()
    with pytest.raises(InputError, match="truncated"):
        evaluate(ColourBackend(short_side=32), Broken([sample(stripes((32, 32), [0, 1]))] * 9))
    assert threading.active_count() == before


def test_a_label_value_that_is_no_class_names_the_sample_and_the_value() -> None:
    good = sample(stripes((32, 32), [0, 1]), "good")
    bad = Sample(good.image, np.full((32, 32), 7, np.uint8), "val/0016E5_07961")
    with pytest.raises(InputError, match=r"val/0016E5_07961.*value 7"):
        evaluate(ColourBackend(short_side=32), ListDataset([good, bad]))


def test_a_split_without_labels_is_refused() -> None:
    image = sample(stripes((32, 32), [0, 1])).image
    with pytest.raises(InputError, match=r"test/a.*no label"):
        evaluate(ColourBackend(), ListDataset([Sample(image, None, "test/a")]))


def test_an_empty_split_is_refused() -> None:
    with pytest.raises(InputError, match="no images"):
        evaluate(ColourBackend(), ListDataset([]))


def test_weights_of_other_classes_are_refused_before_anything_is_read() -> None:
    class Untouchable(ListDataset):
        def __getitem__(self, index: int) -> Sample:
            raise AssertionError("read")

    backend = ColourBackend(ClassSet("roads", ("sky", "road", "sign"), CLASSES.colours[:3]))
    with pytest.raises(UsageError) as caught:
        evaluate(backend, Untouchable([sample(stripes((32, 32), [0, 1]))], CAMVID))
    assert str(caught.value) == (
        "the weights know 3 classes (roads), camvid has 11: the weights lack building, pole, pavement, tree, "
        "fence, car, pedestrian, bicyclist; use weights trained for these classes"
    )


def test_a_size_may_be_a_list_and_must_be_two_ints() -> None:
    dataset = ListDataset([sample(stripes((64, 64), [0, 1]))])
    assert evaluate(ColourBackend(), dataset, size_hw=[32, 64]).size_hw == (32, 64)
    one_number: Any = 512
    with pytest.raises(UsageError, match="network size 512: need two whole numbers"):
        evaluate(ColourBackend(), dataset, size_hw=one_number)


def test_classes_that_only_the_weights_have_are_named() -> None:
    with pytest.raises(UsageError, match=r"19 classes \(cityscapes\).*only the weights have sidewalk, wall"):
        require_same_classes(CITYSCAPES, CAMVID)


def test_the_same_names_in_another_order_are_other_classes() -> None:
    turned = ClassSet("turned", CLASSES.names[::-1], CLASSES.colours)
    with pytest.raises(UsageError, match="another order"):
        require_same_classes(turned, CLASSES)


def test_colours_and_the_name_of_the_set_do_not_matter() -> None:
    require_same_classes(ClassSet("mine", CLASSES.names, CLASSES.colours[::-1]), CLASSES)


def evaluation_of(counts: list[list[int]], names: tuple[str, ...]) -> Evaluation:
    confusion = ConfusionMatrix(len(names))
    confusion.counts += np.array(counts)
    return Evaluation(1, (360, 480), confusion.scores(names), confusion)


def test_json_holds_the_scores_and_the_matrix() -> None:
    result = evaluation_of([[3, 1, 0], [0, 4, 0], [0, 0, 0]], ("sky", "road", "car"))
    read_back = json.loads(json.dumps(result.as_dict(), allow_nan=False))
    assert read_back == {
        "images": 1,
        "size_hw": [360, 480],
        "miou": pytest.approx((3 / 4 + 4 / 5) / 2),
        "pixel_accuracy": pytest.approx(7 / 8),
        "iou": {"sky": 0.75, "road": 0.8, "car": None},
        "accuracy": {"sky": 0.75, "road": 1.0, "car": None},
        "confusion": [[3, 1, 0], [0, 4, 0], [0, 0, 0]],
    }


def test_the_table_is_aligned_and_says_absent() -> None:
    scores = evaluation_of([[3, 1, 0], [0, 4, 0], [0, 0, 0]], ("sky", "a class of a long name", "car")).scores
    assert format_table(scores).splitlines() == [
        "class                   IoU, %  accuracy, %",
        "sky                      75.00        75.00",
        "a class of a long name   80.00       100.00",
        "car                     absent       absent",
        "-------------------------------------------",
        "mIoU                     77.50",
        "pixel accuracy           87.50",
    ]
