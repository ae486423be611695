"""Losses against PyTorch's own and against plain definitions."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from bcpnet.labels import IGNORE
from bcpnet.metrics import ConfusionMatrix
from bcpnet.training.losses import class_weights, distillation_loss, lovasz_softmax, segmentation_loss, training_loss


def _batch(ignored: float = 0.1, classes: int = 5) -> tuple[Tensor, Tensor]:
    """Logits at a quarter of the labels' size, and labels."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, classes, 5, 7, generator=generator) * 3
    labels = torch.randint(0, classes, (2, 19, 28), generator=generator)
    labels[torch.rand(labels.shape, generator=generator) < ignored] = IGNORE
    return logits.requires_grad_(), labels


WEIGHTS = torch.tensor([0.3, 1.0, 2.5, 0.7, 0.0])


@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_equals_pytorchs_cross_entropy(weights: Tensor | None) -> None:
    logits, labels = _batch()
    full = F.interpolate(logits, size=(19, 28), mode="bilinear", align_corners=False)
    expected = F.cross_entropy(full, labels, weights, ignore_index=IGNORE)
    loss = segmentation_loss(logits, labels, weights)
    torch.testing.assert_close(loss, expected)
    gradient, reference = (torch.autograd.grad(value, logits)[0] for value in (loss, expected))
    torch.testing.assert_close(gradient, reference)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.77])
def test_ohem_is_the_mean_of_the_hardest(share: float) -> None:
    logits, labels = _batch()
    full = F.interpolate(logits, size=(19, 28), mode="bilinear", align_corners=False)
    losses = F.cross_entropy(full, labels, ignore_index=IGNORE, reduction="none")[labels != IGNORE]
    hardest = losses.sort(descending=True).values[: int(share * len(losses))]
    torch.testing.assert_close(segmentation_loss(logits, labels, ohem=share), hardest.mean())


def test_ohem_counts_labelled_pixels_only() -> None:
    """Of an image with one labelled pixel, that pixel is the hardest, whatever the share."""
    logits, labels = _batch()
    only = torch.full_like(labels, IGNORE)
    only[1, 9, 13] = labels[1, 9, 13] = 2
    expected = segmentation_loss(logits, only)
    torch.testing.assert_close(segmentation_loss(logits, only, ohem=0.01), expected)
    assert expected > 0


@pytest.mark.parametrize("ohem", [1.0, 0.25])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_nothing_labelled_is_no_loss(ohem: float, weights: Tensor | None) -> None:
    logits, labels = _batch()
    loss = segmentation_loss(logits, torch.full_like(labels, IGNORE), weights, ohem)
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert torch.equal(logits.grad, torch.zeros_like(logits))


def test_half_precision_logits_are_summed_in_float32() -> None:
    logits, labels = _batch()
    loss = segmentation_loss(logits.half(), labels)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, segmentation_loss(logits.half().float(), labels))


@pytest.mark.parametrize("kind", ["log", "median"])
def test_class_weights(kind: str) -> None:
    pixels = torch.tensor([100_000, 9_000, 50_000, 0, 900])
    weights = class_weights(pixels, kind)
    assert weights.dtype == torch.float32
    present = weights[pixels > 0]
    assert present.mean().item() == pytest.approx(1)
    assert weights[3] == 1  # never seen, and no reason to divide by it
    assert present.argsort().tolist() == pixels[pixels > 0].argsort(descending=True).tolist()
    torch.testing.assert_close(class_weights(pixels * 7, kind), weights)  # frequencies count, not pixels
    assert torch.equal(class_weights(torch.tensor([5, 5, 5]), kind), torch.ones(3))


def test_class_weights_of_their_papers() -> None:
    pixels = torch.tensor([600, 300, 100])
    log, median = class_weights(pixels, "log"), class_weights(pixels, "median")
    expected = [1 / math.log(1.1 + frequency) for frequency in (0.6, 0.3, 0.1)]
    torch.testing.assert_close(log / log[0], torch.tensor(expected) / expected[0])
    torch.testing.assert_close(median / median[1], torch.tensor([0.5, 1.0, 3.0]))
    rare = class_weights(torch.tensor([10**9, 10**6, 1]), "median")
    assert (rare[2] / rare[1]).item() == pytest.approx(10)


@pytest.mark.parametrize("kind", ["log", "median"])
def test_class_weights_of_a_split_without_labels(kind: str) -> None:
    assert torch.equal(class_weights(torch.zeros(3, dtype=torch.int64), kind), torch.ones(3))


class TwoHeads(nn.Module):
    """A network with an auxiliary head that sees the image upside down."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Conv2d(3, 5, 1)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(images)
        return logits

    def forward_with_auxiliary(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        return self(images), [self(images.flip(2)), self(-images)]


def test_auxiliary_heads_join_with_their_weight() -> None:
    torch.manual_seed(0)
    network = TwoHeads()
    images, (_, labels) = torch.randn(2, 3, 5, 7), _batch()
    parts = [segmentation_loss(network(x), labels, WEIGHTS, 0.5) for x in (images, images.flip(2), -images)]
    loss = training_loss(network, images, labels, WEIGHTS, 0.5, 0.0, 0.4)
    torch.testing.assert_close(loss, parts[0] + 0.4 * (parts[1] + parts[2]))


def test_a_network_without_auxiliary_heads_has_one_loss() -> None:
    network = nn.Conv2d(3, 5, 1)
    images, (_, labels) = torch.randn(2, 3, 5, 7), _batch()
    expected = segmentation_loss(network(images), labels)
    torch.testing.assert_close(training_loss(network, images, labels, None, 1.0, 0.0, 0.4), expected)


def test_lovasz_of_certain_predictions_is_one_minus_the_iou_of_our_metric() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 4, (500,), generator=generator)  # of five classes one is never labelled
    predicted = torch.where(torch.rand(500, generator=generator) < 0.6, labels, labels.roll(1))
    matrix = ConfusionMatrix(5)
    matrix.update(labels.to(torch.uint8).numpy(), predicted.to(torch.uint8).numpy())
    expected = torch.tensor(1 - matrix.iou()[:4].mean()).float()
    probabilities = F.one_hot(predicted, 5).float()
    torch.testing.assert_close(lovasz_softmax(probabilities, labels), expected)
    order = torch.randperm(500, generator=generator)
    torch.testing.assert_close(lovasz_softmax(probabilities[order], labels[order]), expected)


def _lovasz_of_class(probabilities: npt.NDArray[np.float64], of_class: npt.NDArray[np.bool_]) -> float:
    """Berman et al. 2018, a pixel at a time: the largest errors first, each counts as much as the Jaccard loss grows
    when its pixel joins the mispredicted ones (their Eq. 5 and 8).
    """
    errors = np.where(of_class, 1 - probabilities, probabilities)
    wrong, before, total = np.zeros(len(errors), bool), 0.0, 0.0
    for pixel in np.argsort(-errors):
        wrong[pixel] = True
        loss = wrong.sum() / (of_class | wrong).sum()
        total += errors[pixel] * (loss - before)
        before = loss
    return float(total)


def _lovasz(probabilities: Tensor, labels: Tensor) -> float:
    present = sorted({*labels.tolist()})
    return float(
        np.mean([_lovasz_of_class(probabilities[:, k].double().numpy(), labels.numpy() == k) for k in present])
    )


@given(pixels=st.integers(1, 40), classes=st.integers(1, 6), certain=st.booleans(), seed=st.integers(0, 1000))
def test_lovasz_is_that_of_its_paper(pixels: int, classes: int, certain: bool, seed: int) -> None:
    """Class by class, pixel by pixel; where errors are equal too, and with classes that are never labelled."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(pixels, classes, generator=generator) * 2
    labels = torch.randint(
        0, int(torch.randint(1, classes + 1, (), generator=generator)), (pixels,), generator=generator
    )
    probabilities = F.one_hot(logits.argmax(1), classes).float() if certain else logits.softmax(1)
    loss = lovasz_softmax(probabilities, labels)
    assert loss.shape == ()
    assert 0 <= loss <= 1
    assert loss.item() == pytest.approx(_lovasz(probabilities, labels), abs=1e-5)


def test_gradient_of_lovasz() -> None:
    """It is linear as long as the errors keep their order, so differences of the plain definition are exact."""
    generator = torch.Generator().manual_seed(0)
    probabilities = torch.randn(30, 4, generator=generator).softmax(1).requires_grad_()
    labels = torch.randint(0, 3, (30,), generator=generator)  # one class is never labelled
    (gradient,) = torch.autograd.grad(lovasz_softmax(probabilities, labels), probabilities)
    for pixel in range(30):
        for index in range(4):
            step = torch.zeros(30, 4, dtype=torch.float64)
            step[pixel, index] = 1e-6
            sides = [_lovasz(probabilities.detach() + sign * step, labels) for sign in (1, -1)]
            assert gradient[pixel, index].item() == pytest.approx((sides[0] - sides[1]) / 2e-6, abs=1e-5)


def test_lovasz_sees_every_second_pixel_and_its_label() -> None:
    logits, labels = _batch()
    added = segmentation_loss(logits, labels, lovasz=0.5) - segmentation_loss(logits, labels)
    full = F.interpolate(logits.detach(), size=(19, 28), mode="bilinear", align_corners=False).softmax(1)
    pixels = [
        (full[image, :, row, column], labels[image, row, column])
        for image in range(2)
        for row in range(0, 19, 2)
        for column in range(0, 28, 2)
        if labels[image, row, column] != IGNORE
    ]
    expected = _lovasz(torch.stack([one for one, _ in pixels]), torch.stack([label for _, label in pixels]))
    assert added.item() == pytest.approx(0.5 * expected, abs=1e-5)


def test_lovasz_is_added_with_its_weight_and_leads_downhill() -> None:
    logits, labels = _batch()
    plain, both = segmentation_loss(logits, labels), segmentation_loss(logits, labels, lovasz=0.5)
    (gradient,) = torch.autograd.grad(both - plain, logits)
    assert 0 < both - plain < 0.5
    moved = logits - 0.1 * gradient / gradient.norm()
    assert segmentation_loss(moved, labels, lovasz=0.5) - segmentation_loss(moved, labels) < both - plain


def test_lovasz_without_labels_is_zero() -> None:
    logits, labels = _batch()
    loss = segmentation_loss(logits, torch.full_like(labels, IGNORE), lovasz=1.0)
    loss.backward()
    assert loss == 0


def _soft(classes: int = 5) -> Tensor:
    """A teacher's probabilities at the size of `_batch`'s logits."""
    return (torch.randn(2, classes, 5, 7, generator=torch.Generator().manual_seed(1)) * 2).softmax(1)


def test_distillation_is_pytorchs_divergence_and_the_teachers_entropy() -> None:
    logits, _ = _batch()
    soft = _soft()
    divergence = F.kl_div(logits.log_softmax(1), soft, reduction="none").sum(1).mean()
    entropy = -(soft * soft.log()).sum(1).mean()
    torch.testing.assert_close(distillation_loss(logits, soft), divergence + entropy)


def test_a_student_that_agrees_with_its_teacher_stays() -> None:
    logits = _soft().log().requires_grad_()
    distillation_loss(logits, _soft()).backward()
    assert logits.grad is not None
    assert logits.grad.abs().max() < 1e-7


def test_distillation_leaves_out_what_the_teacher_did_not_see() -> None:
    logits, _ = _batch()
    soft = _soft()
    soft[1] = 0
    torch.testing.assert_close(distillation_loss(logits, soft), distillation_loss(logits[:1], soft[:1]))
    assert distillation_loss(logits, torch.zeros_like(soft)) == 0


def test_soft_labels_of_another_stride_meet_resized_logits() -> None:
    logits, _ = _batch()
    soft = F.interpolate(_soft(), size=(10, 14), mode="nearest")
    fine = F.interpolate(logits, size=(10, 14), mode="bilinear", align_corners=False)
    torch.testing.assert_close(distillation_loss(logits, soft), distillation_loss(fine, soft))


def test_soft_labels_join_with_their_weight() -> None:
    network = nn.Conv2d(3, 5, 1)
    images, (_, labels), soft = torch.randn(2, 3, 5, 7), _batch(), _soft()
    expected = segmentation_loss(network(images), labels) + 0.7 * distillation_loss(network(images), soft)
    torch.testing.assert_close(training_loss(network, images, labels, None, 1.0, 0.0, 0.4, soft, 0.7), expected)
