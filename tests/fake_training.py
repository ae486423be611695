"""A dataset in memory and a recipe for it that trains in a second."""

from __future__ import annotations

import dataclasses

import numpy as np
from torch import nn

from bcpnet.data.base import Sample
from bcpnet.labels import IGNORE, ClassSet
from bcpnet.training.recipes import Recipe

CLASSES = ClassSet("shades", ("dark", "grey", "light"), ((0, 0, 0), (128, 128, 128), (255, 255, 255)))
PATCH = 16  # pixels


class Shades:
    """Images whose square patches tell their class by their shade; some pixels are ignored."""

    classes = CLASSES

    def __init__(
        self, samples: int, sizes_hw: tuple[tuple[int, int], ...] = ((32, 48),), seed: int = 0, ignored: float = 0.02
    ) -> None:
        """`sizes_hw` in turn, multiples of 8; `ignored` is the share of pixels without a label."""
        rng = np.random.default_rng(seed)
        self.samples = []
        self.read: list[int] = []  # which samples were asked for
        for index in range(samples):
            height, width = sizes_hw[index % len(sizes_hw)]
            patches = rng.integers(0, len(CLASSES), (height // PATCH + 1, width // PATCH + 1), np.uint8)
            label = patches.repeat(PATCH, 0).repeat(PATCH, 1)[:height, :width]
            noise = rng.integers(0, 40, (height, width, 3))
            image = (100 * label[..., None] + noise).astype(np.uint8)
            label = np.where(rng.random(label.shape) < ignored, IGNORE, label).astype(np.uint8)
            self.samples.append(Sample(image, label, f"shades_{index}"))

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Sample:
        self.read.append(index)
        return self.samples[index]


def tiny_recipe(**changes: object) -> Recipe:
    """Crops of 32 x 32, four images a step, four steps an epoch with 16 samples."""
    recipe = Recipe(
        short_side=32,
        crop_h=32,
        crop_w=32,
        scale_min=0.8,
        scale_max=1.25,
        batch=4,
        micro_batch=4,
        epochs=2,
        save_seconds=3600,
        workers=0,
    )
    return dataclasses.replace(recipe, **changes)


def pointwise(name: str, num_classes: int) -> nn.Module:
    """In place of `bcpnet.networks.build`: a network in which neither pixels nor samples meet."""
    del name
    return nn.Conv2d(3, num_classes, 1)
