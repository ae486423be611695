"""Figures 4 and 5, of the weights that ship."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="Figure 4 needs PyTorch")
pytest.importorskip("matplotlib", reason="Figure 4 is drawn with Matplotlib")
from bcpnet.backends import open_backend
from bcpnet.data.base import Sample
from bcpnet.data.streets import Streets
from bcpnet.evaluation.evaluate import evaluate
from bcpnet.labels import CAMVID, IGNORE
from bcpnet.paper.figures import draw_results, layer3_responses
from bcpnet.paper.pictures import draw_figures
from bcpnet.paper.results import new_results


class One:
    """A dataset of one sample."""

    classes = CAMVID

    def __init__(self, sample: Sample) -> None:
        self.sample = sample

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> Sample:
        return self.sample


@pytest.fixture(scope="module")
def street() -> Sample:
    return Streets("test", (360, 480))[0]


def test_responses_lie_at_stride_8(street: Sample) -> None:
    before, after = layer3_responses(street.image)
    assert before.shape == after.shape == (68, 90)  # the weights have it resized to 540x720
    assert before.min() >= 0
    assert after.min() >= 0
    # A brighter patch changes the encoder's response around it, but not far away; BCP carries context everywhere.
    image = street.image.copy()
    image[160:200, 220:260] = 255
    changes = [abs(new - old) / old.std() for new, old in zip(layer3_responses(image), (before, after), strict=True)]
    corners = [change[:4, :4].max() for change in changes]
    assert corners[0] == 0
    assert corners[1] > 1e-3


def test_the_accuracy_is_that_of_evaluate(street: Sample) -> None:
    assert street.label is not None
    label = street.label.copy()
    label[:50] = IGNORE
    sample = street._replace(label=label)
    picture, right = draw_results(sample)
    assert right == pytest.approx(evaluate(open_backend("camvid"), One(sample)).scores.pixel_accuracy, abs=1e-4)
    assert picture.ndim == 3
    red = (picture == (225, 45, 45)).all(2)
    assert red[picture.shape[0] // 2 :, picture.shape[1] // 2 :].any()  # the last tile, and no other
    assert not red[: picture.shape[0] // 2].any()


def test_a_photograph_is_kept_out_of_what_is_published(street: Sample, tmp_path: Path) -> None:
    results = new_results({})
    draw_figures(results, None, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"figure4.png", "figure5.jpg"}
    assert results["figure4"] == {"image": "a synthetic street", "photograph": False}
    of_street = (tmp_path / "figure5.jpg").read_bytes()

    rng = np.random.default_rng(0)
    photograph = Sample(rng.integers(0, 256, (360, 480, 3), np.uint8), street.label, "0016E5_00001")
    draw_figures(results, photograph, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"figure4.png", "figure5.jpg", "figure5-camvid.jpg"}
    assert results["figure4"] == {"image": "CamVid's validation image 0016E5_00001", "photograph": True}
    assert (tmp_path / "figure5.jpg").read_bytes() == of_street
    of_photograph = (tmp_path / "figure4.png").read_bytes()

    draw_figures(results, None, tmp_path)  # a later run without CamVid leaves it
    assert (tmp_path / "figure4.png").read_bytes() == of_photograph
    assert results["figure4"]["photograph"]
    (tmp_path / "figure4.png").unlink()
    draw_figures(results, None, tmp_path)
    assert not results["figure4"]["photograph"]
