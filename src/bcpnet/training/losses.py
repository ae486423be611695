"""Cross-entropy for segmentation: class weights, the hardest pixels, auxiliary heads."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bcpnet.labels import IGNORE


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


def segmentation_loss(logits: Tensor, labels: Tensor, weights: Tensor | None = None, ohem: float = 1.0) -> Tensor:
    """Cross-entropy of bilinearly upsampled logits, as a mean over labelled pixels weighted by class.

    Args:
        logits: N K h w.
        labels: N H W int64, IGNORE where there is none.
        weights: K, or None.
        ohem: share of the labelled pixels that counts: those with the largest loss (Shrivastava et al. 2016).

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
    return loss.sum() / mass.sum().clamp(min=1e-6)


def training_loss(
    network: nn.Module, images: Tensor, labels: Tensor, weights: Tensor | None, ohem: float, aux_weight: float
) -> Tensor:
    """The loss of a network on a batch; auxiliary heads, if it has them, join with `aux_weight`.

    A network with auxiliary heads has a method `forward_with_auxiliary(images) -> (logits, list of logits)`.
    """
    with_auxiliary = getattr(network, "forward_with_auxiliary", None)
    logits, auxiliary = (network(images), []) if with_auxiliary is None else with_auxiliary(images)
    loss = segmentation_loss(logits, labels, weights, ohem)
    for extra in auxiliary:
        loss = loss + aux_weight * segmentation_loss(extra, labels, weights, ohem)
    return loss
