"""Losses for segmentation: cross-entropy with class weights and the hardest pixels, Lovász-softmax, auxiliary heads."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bcpnet.labels import IGNORE

_LOVASZ_STEP = 2


def class_weights(pixels: Tensor, kind: Literal["log", "median"]) -> Tensor:
    """Weights for cross-entropy from the number of training pixels of each class.

    Args:
        pixels: K counts.
        kind: "log": 1 / ln(1.1 + frequency) (after ENet, Paszke et al. 2016, whose 1.02 is stronger); "median": median
            frequency / frequency (Eigen & Fergus 2015), at most 10.

    Returns:
        K float32 with mean 1 over the classes present; a class without pixels gets 1.
    """
    frequency = pixels.double() / pixels.sum().clamp(min=1)
    present = pixels > 0
    if kind == "log":
        weights = 1 / torch.log(1.1 + frequency)
    else:
        weights = (frequency[present].median() / frequency).clamp(max=10)
    weights = weights / weights[present].mean()
    return torch.where(present, weights, 1.0).float()


def lovasz_softmax(probabilities: Tensor, labels: Tensor) -> Tensor:
    """The Lovász extension of 1 - IoU, as a mean over the classes that are labelled (Berman et al. 2018, Eq. 8 to 11).

    Args:
        probabilities: P K, of P labelled pixels.
        labels: P int64.

    Returns:
        A scalar in 0..1; 0 (with a gradient) where P is 0.
    """
    present = torch.unique(labels)
    if not len(present):
        return probabilities.sum()
    of_class = (labels == present[:, None]).float()  # C P: of the classes that are labelled
    errors, order = (of_class - probabilities.T[present]).abs().sort(dim=1, descending=True)
    of_class = of_class.gather(1, order)
    total = of_class.sum(1, keepdim=True)
    jaccard = 1 - (total - of_class.cumsum(1)) / (total + (1 - of_class).cumsum(1))
    steps = torch.diff(jaccard, dim=1, prepend=jaccard.new_zeros(len(present), 1))
    losses: Tensor = (errors * steps).sum(1)
    return losses.mean()


def segmentation_loss(
    logits: Tensor, labels: Tensor, weights: Tensor | None = None, ohem: float = 1.0, lovasz: float = 0.0
) -> Tensor:
    """Cross-entropy of bilinearly upsampled logits, as a mean over labelled pixels weighted by class.

    Args:
        logits: N K h w.
        labels: N H W int64, IGNORE where there is none.
        weights: K, or None.
        ohem: share of the labelled pixels that counts: those with the largest loss (Shrivastava et al. 2016).
        lovasz: weight of the Lovász-softmax loss, which is added.

    Returns:
        A scalar; 0 (with a gradient) if nothing is labelled.
    """
    full = F.interpolate(logits.float(), size=labels.shape[-2:], mode="bilinear", align_corners=False)
    loss = F.cross_entropy(full, labels, weights, ignore_index=IGNORE, reduction="none").flatten()
    valid = (labels != IGNORE).flatten()
    mass = valid.float() if weights is None else weights[labels.flatten().clamp(max=len(weights) - 1)] * valid
    if ohem < 1:
        hardest = loss.detach().topk(max(1, int(ohem * int(valid.sum())))).indices
        loss, mass = loss[hardest], mass[hardest]
    total = loss.sum() / mass.sum().clamp(min=1e-6)
    if lovasz > 0:
        # It sorts pixels for each class. Every second both ways will do: crops lie at random.
        sparse = labels[:, ::_LOVASZ_STEP, ::_LOVASZ_STEP]
        probabilities = full[..., ::_LOVASZ_STEP, ::_LOVASZ_STEP].softmax(1).movedim(1, -1)
        total = total + lovasz * lovasz_softmax(probabilities[sparse != IGNORE], sparse[sparse != IGNORE])
    return total


def distillation_loss(logits: Tensor, soft: Tensor, weights: Tensor | None = None) -> Tensor:
    """Cross-entropy with a teacher's probabilities: their Kullback-Leibler divergence plus a constant.

    After Hinton et al. 2015, at temperature 1, pixel by pixel.

    Args:
        logits: N K h w.
        soft: N K H W probabilities; pixels where they are 0 for all classes do not count.
        weights: K, or None.

    Returns:
        A scalar, the mean over pixels weighted by class; 0 (with a gradient) if none counts.
    """
    if weights is not None:
        soft = soft * weights[:, None, None]
    fitting = F.interpolate(logits.float(), size=soft.shape[-2:], mode="bilinear", align_corners=False)
    return -(soft * fitting.log_softmax(1)).sum() / soft.sum().clamp(min=1e-6)


def training_loss(
    network: nn.Module,
    images: Tensor,
    labels: Tensor,
    weights: Tensor | None,
    ohem: float,
    lovasz: float,
    aux_weight: float,
    soft: Tensor | None = None,
    distil: float = 0.0,
) -> Tensor:
    """The loss of a network on a batch.

    The cross-entropy of auxiliary heads, if it has them, joins with `aux_weight`, that of soft labels, if there are
    any, with `distil`. A network with auxiliary heads has a method
    `forward_with_auxiliary(images) -> (logits, list of logits)`.
    """
    with_auxiliary = getattr(network, "forward_with_auxiliary", None)
    logits, auxiliary = (network(images), []) if with_auxiliary is None else with_auxiliary(images)
    loss = segmentation_loss(logits, labels, weights, ohem, lovasz)
    for extra in auxiliary:
        loss = loss + aux_weight * segmentation_loss(extra, labels, weights, ohem)
    return loss if soft is None else loss + distil * distillation_loss(logits, soft, weights)
