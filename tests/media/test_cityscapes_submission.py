"""A submission is what the official Cityscapes script finds, reads and scores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bcpnet.errors import InputError
from bcpnet.labels import CITYSCAPES, CITYSCAPES_LABEL_IDS, lookup_table
from bcpnet.media.cityscapes_submission import write_cityscapes
from bcpnet.metrics import ConfusionMatrix

TRAIN_ID = lookup_table({label_id: train_id for train_id, label_id in enumerate(CITYSCAPES_LABEL_IDS)})


def test_the_official_script_finds_and_scores_it_as_we_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = pytest.importorskip("cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling")
    rng = np.random.default_rng(0)
    matrix = ConfusionMatrix(len(CITYSCAPES))
    truths = []
    for city, frame in (("frankfurt", 294), ("frankfurt", 576), ("lindau", 19)):
        stem = f"{city}_000000_{frame:06d}"
        truth = rng.integers(0, 34, (32, 64), np.uint8)
        class_map = np.where(rng.random(truth.shape) < 0.5, TRAIN_ID[truth], rng.integers(0, 15, truth.shape))
        class_map = np.minimum(class_map, 18).astype(np.uint8)
        truths.append(tmp_path / "gtFine" / "val" / city / f"{stem}_gtFine_labelIds.png")
        truths[-1].parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(truth).save(truths[-1])
        write_cityscapes(tmp_path / "results", f"{stem}_leftImg8bit", class_map)
        matrix.update(TRAIN_ID[truth], class_map)
    monkeypatch.setenv("CITYSCAPES_RESULTS", str(tmp_path / "results"))
    args = script.CArgs()
    args.__dict__.update(script.args.__dict__)
    args.quiet, args.JSONOutput, args.evalInstLevelScore = True, False, False
    predictions = [script.getPrediction(args, str(truth)) for truth in truths]
    result = script.evaluateImgLists(predictions, [str(truth) for truth in truths], args)
    ours = matrix.scores(CITYSCAPES.names)
    assert ours.miou == pytest.approx(result["averageScoreClasses"], abs=1e-6)
    for name, iou in ours.iou.items():
        assert iou == pytest.approx(result["classScores"][name], abs=1e-6)


@pytest.mark.parametrize("name", ["ulm_000000_000019", "ulm_000000_000019_leftImg8bit"])
def test_label_ids_in_a_grey_png_under_the_frame_s_name(tmp_path: Path, name: str) -> None:
    class_map = np.arange(19, dtype=np.uint8)[None].repeat(2, axis=0)
    path = write_cityscapes(tmp_path / "new", name, class_map)
    assert path == tmp_path / "new" / "ulm_000000_000019_labelIds.png"
    with Image.open(path) as image:
        assert image.mode == "L"
        written = np.asarray(image)
    np.testing.assert_array_equal(TRAIN_ID[written], class_map)
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("name", ["holiday", "ulm_1_2", "ulm_000000_000019_gtFine", "../ulm_000000_000019x", ""])
def test_a_frame_that_is_not_cityscapes_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="Cityscapes"):
        write_cityscapes(tmp_path, name, np.zeros((2, 2), np.uint8))
    assert not list(tmp_path.iterdir())


def test_a_class_map_of_other_classes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="train ids"):
        write_cityscapes(tmp_path, "ulm_000000_000019", np.full((2, 2), 19, np.uint8))
    assert not list(tmp_path.iterdir())
