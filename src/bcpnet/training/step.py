"""One optimizer step: crops, loss, gradients, the optimizer. What it draws is a function of (seed, step, device)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import torch
from torch import Tensor

from bcpnet.training.augment import augment
from bcpnet.training.batches import Example, mix
from bcpnet.training.losses import training_loss
from bcpnet.training.module import Trained
from bcpnet.training.recipe import Recipe


def optimizer_step(
    trained: Trained, recipe: Recipe, feed: Iterator[list[Example]], lr: float, weights: Tensor | None
) -> Tensor:
    """One step on the next micro-batches of `feed`, with learning rate `lr` and class `weights`; their mean loss."""
    fabric = trained.fabric
    accumulate = recipe.batch // (recipe.images_at_once(fabric.world_size) * fabric.world_size)
    # Dropout and the like draw from the global generator, augmentation from its own.
    torch.manual_seed(mix(recipe.seed, trained.step, fabric.global_rank))
    generator = torch.Generator(fabric.device).manual_seed(mix(recipe.seed, trained.step, fabric.global_rank, 1))
    trained.wrapped.train()
    trained.warm_batch_norm()
    for group in trained.optimizer.param_groups:
        group["lr"] = lr
    loss = torch.zeros((), device=fabric.device)
    for part, examples in enumerate(islice(feed, accumulate)):
        crops = augment(
            examples,
            short_side=recipe.short_side,
            crop_hw=(recipe.crop_h, recipe.crop_w),
            scale=(recipe.scale_min, recipe.scale_max),
            flip=recipe.flip,
            jitter=recipe.jitter,
            generator=generator,
        )
        with fabric.no_backward_sync(trained.wrapped, enabled=part < accumulate - 1):
            partial = training_loss(
                trained.wrapped, crops.inputs, crops.labels, weights, recipe.ohem, recipe.lovasz, recipe.aux_weight,
                crops.soft, recipe.distil,
            )  # fmt: skip
            fabric.backward(partial / accumulate)
        loss += partial.detach() / accumulate
    trained.optimizer.step()
    trained.optimizer.zero_grad()
    return loss
