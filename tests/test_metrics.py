"""The metric against its set definition, its laws, and the official Cityscapes script."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from bcpnet.labels import CITYSCAPES, CITYSCAPES_LABEL_IDS, IGNORE, lookup_table
from bcpnet.metrics import ConfusionMatrix

K = 4
Map = npt.NDArray[np.uint8]


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Map, Map]:
    """A label (with ignored pixels) and a prediction of the same, small, shape; classes may be absent."""
    shape = draw(hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=8))
    label = draw(hnp.arrays(np.uint8, shape, elements=st.sampled_from([0, 1, 2, 3, IGNORE])))
    prediction = draw(hnp.arrays(np.uint8, shape, elements=st.integers(0, K - 1)))
    return label, prediction


def confusion(label: Map, prediction: Map, num_classes: int = K) -> ConfusionMatrix:
    matrix = ConfusionMatrix(num_classes)
    matrix.update(label, prediction)
    return matrix


def iou_of_sets(label: Map, prediction: Map, class_id: int) -> float:
    """|truth and predicted| / |truth or predicted|, over the pixels that count."""
    counted = {place for place, value in np.ndenumerate(label) if value != IGNORE}
    truth = {place for place in counted if label[place] == class_id}
    predicted = {place for place in counted if prediction[place] == class_id}
    return len(truth & predicted) / len(truth | predicted) if truth | predicted else float("nan")


@given(pairs())
def test_iou_is_intersection_over_union_of_pixel_sets(pair: tuple[Map, Map]) -> None:
    expected = np.array([iou_of_sets(*pair, class_id) for class_id in range(K)])
    matrix = confusion(*pair)
    np.testing.assert_allclose(matrix.iou(), expected, rtol=1e-12)
    present = [value for value in expected if not np.isnan(value)]
    mean = sum(present) / len(present) if present else float("nan")
    np.testing.assert_allclose(matrix.mean_iou(), mean, rtol=1e-12)


@given(pairs())
def test_accuracy_is_the_share_of_right_pixels(pair: tuple[Map, Map]) -> None:
    label, prediction = (values[pair[0] != IGNORE] for values in pair)
    matrix = confusion(*pair)
    accuracy = float(np.mean(label == prediction)) if label.size else float("nan")
    np.testing.assert_allclose(matrix.pixel_accuracy(), accuracy, rtol=1e-12)
    for class_id, share in enumerate(matrix.class_accuracy()):
        right = (prediction == class_id)[label == class_id]
        np.testing.assert_allclose(share, right.mean() if right.size else np.nan, rtol=1e-12)


@given(pairs(), st.permutations(range(K)))
def test_renaming_the_classes_permutes_the_iou(pair: tuple[Map, Map], order: list[int]) -> None:
    rename = lookup_table(dict(enumerate(order)))
    renamed = confusion(rename[pair[0]], rename[pair[1]])
    np.testing.assert_array_equal(renamed.iou()[order], confusion(*pair).iou())


@given(pairs(), pairs())
def test_adding_matrices_is_concatenating_images(first: tuple[Map, Map], second: tuple[Map, Map]) -> None:
    merged = confusion(*first)
    merged.counts += confusion(*second).counts
    one_after_the_other = confusion(*first)
    one_after_the_other.update(*second)
    label, prediction = (np.concatenate([a.ravel(), b.ravel()]) for a, b in zip(first, second, strict=True))
    np.testing.assert_array_equal(merged.counts, confusion(label, prediction).counts)
    np.testing.assert_array_equal(one_after_the_other.counts, merged.counts)


@given(pairs(), st.integers(0, 255))
def test_what_is_predicted_on_ignored_pixels_does_not_matter(pair: tuple[Map, Map], value: int) -> None:
    label, prediction = pair
    other = np.where(label == IGNORE, np.uint8(value), prediction)
    np.testing.assert_array_equal(confusion(label, other).counts, confusion(label, prediction).counts)


def test_rows_are_ground_truth() -> None:
    label, prediction = np.array([[0, 0, 1]], np.uint8), np.array([[0, 1, 1]], np.uint8)
    assert confusion(label, prediction, 2).counts.tolist() == [[1, 1], [0, 1]]


def test_255_classes_fit() -> None:
    ids = np.arange(255, dtype=np.uint8)
    assert confusion(ids, ids, 255).mean_iou() == 1.0


def test_counts_do_not_overflow_32_bits() -> None:
    matrix = confusion(np.zeros((4, 4), np.uint8), np.zeros((4, 4), np.uint8))
    matrix.counts *= 2**31  # a split of 2 G pixels and more
    assert matrix.counts.sum() == 16 * 2**31
    assert matrix.mean_iou() == matrix.pixel_accuracy() == 1.0


@pytest.mark.parametrize(
    ("label", "prediction", "message"),
    [
        (np.full((2, 2), 11, np.uint8), np.zeros((2, 2), np.uint8), "label value 11"),
        (np.full((2, 2), 254, np.uint8), np.zeros((2, 2), np.uint8), "label value 254"),
        (np.zeros((2, 2), np.uint8), np.full((2, 2), K, np.uint8), "predicted value 4"),
        (np.zeros((2, 2), np.uint8), np.full((2, 2), IGNORE, np.uint8), "predicted value 255"),
        (np.zeros((2, 2), np.uint8), np.zeros((2, 3), np.uint8), r"\(2, 2\).*\(2, 3\)"),
        (np.zeros((2, 2), np.int64), np.zeros((2, 2), np.uint8), "int64"),
    ],
)
def test_wrong_values_are_named_and_nothing_is_added(
    label: npt.NDArray[np.uint8], prediction: npt.NDArray[np.uint8], message: str
) -> None:
    matrix = ConfusionMatrix(K)
    with pytest.raises(ValueError, match=message):
        matrix.update(label, prediction)
    assert not matrix.counts.any()


def test_scores_are_json_with_absent_classes_as_null() -> None:
    scores = confusion(np.array([0, 0, 1], np.uint8), np.array([0, 2, 2], np.uint8)).scores("abcd")
    read_back = json.loads(json.dumps(asdict(scores), allow_nan=False))
    assert read_back["iou"] == {"a": 0.5, "b": 0.0, "c": 0.0, "d": None}
    assert read_back["accuracy"] == {"a": 0.5, "b": 0.0, "c": None, "d": None}
    assert read_back["miou"] == pytest.approx(0.5 / 3)
    assert read_back["pixel_accuracy"] == pytest.approx(1 / 3)


def test_scores_of_nothing_are_null() -> None:
    scores = ConfusionMatrix(2).scores(("a", "b"))
    assert (scores.miou, scores.pixel_accuracy) == (None, None)


@pytest.mark.parametrize("names", [("a", "b", "c"), ("a", "b", "c", "c")])
def test_scores_need_one_name_of_its_own_per_class(names: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="names"):
        ConfusionMatrix(K).scores(names)


TRAIN_ID = lookup_table({label_id: train_id for train_id, label_id in enumerate(CITYSCAPES_LABEL_IDS)})
IGNORED_IDS = sorted(set(range(34)) - set(CITYSCAPES_LABEL_IDS))


def official_iou(root: Path, pairs_of_ids: list[tuple[Map, Map]]) -> tuple[dict[str, float], float]:
    """IoU by class and mIoU of the official script on (ground truth, prediction) pairs, written as a tree."""
    script = pytest.importorskip("cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling")
    truths, predictions = [], []
    for index, (truth, prediction) in enumerate(pairs_of_ids):
        stem = f"aachen_{index:06d}_000019"
        truths.append(root / "gtFine" / "val" / "aachen" / f"{stem}_gtFine_labelIds.png")
        predictions.append(root / "results" / f"{stem}_leftImg8bit.png")
        for path, ids in ((truths[-1], truth), (predictions[-1], prediction)):
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(ids).save(path)
    args = script.CArgs()
    args.__dict__.update(script.args.__dict__)
    args.quiet, args.JSONOutput, args.evalInstLevelScore = True, False, False
    result = script.evaluateImgLists([str(p) for p in predictions], [str(p) for p in truths], args)
    return result["classScores"], result["averageScoreClasses"]


@pytest.mark.parametrize("seed", range(6))
def test_equals_the_official_cityscapes_script(tmp_path: Path, seed: int) -> None:
    """All label ids 0..33 in the ground truth, some classes absent, ignored ids predicted anywhere."""
    rng = np.random.default_rng(seed)
    usable = rng.choice(34, size=int(rng.integers(3, 35)), replace=False).astype(np.uint8)
    usable[0] = CITYSCAPES_LABEL_IDS[seed]  # at least one class that counts
    # The script lets a prediction hold ids that are no class: on a pixel that counts, such an id is a miss of
    # the true class and a false alarm of none. A 20th column takes them here.
    nothing = len(CITYSCAPES)
    matrix = ConfusionMatrix(nothing + 1)
    images = []
    for _ in range(4):
        truth = rng.choice(usable, (24, 48))
        guess = rng.choice(usable, (24, 48))
        prediction = np.where(rng.random((24, 48)) < 0.6, truth, guess)
        images.append((truth, prediction))
        predicted = TRAIN_ID[prediction]
        matrix.update(TRAIN_ID[truth], np.where(predicted == IGNORE, np.uint8(nothing), predicted))
    by_class, mean = official_iou(tmp_path, images)
    iou = matrix.iou()[:nothing]
    np.testing.assert_allclose(iou, [by_class[name] for name in CITYSCAPES.names], atol=1e-6)
    assert np.nanmean(iou) == pytest.approx(mean, abs=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_equals_the_official_script_on_what_a_network_predicts(tmp_path: Path, seed: int) -> None:
    """Only classes are predicted, on ignored ground truth too: the very mIoU."""
    rng = np.random.default_rng(seed)
    matrix = ConfusionMatrix(len(CITYSCAPES))
    images = []
    for _ in range(3):
        truth = rng.choice([*IGNORED_IDS, *CITYSCAPES_LABEL_IDS[: 6 + seed]], (24, 48)).astype(np.uint8)
        prediction = rng.choice(CITYSCAPES_LABEL_IDS[: 8 + seed], (24, 48)).astype(np.uint8)
        images.append((truth, prediction))
        matrix.update(TRAIN_ID[truth], TRAIN_ID[prediction])
    by_class, mean = official_iou(tmp_path, images)
    scores = matrix.scores(CITYSCAPES.names)
    assert scores.miou == pytest.approx(mean, abs=1e-6)
    for name, iou in scores.iou.items():
        assert iou is None if np.isnan(by_class[name]) else iou == pytest.approx(by_class[name], abs=1e-6)
