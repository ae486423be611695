"""Augmentation: one geometry for images and labels, then colour for images alone."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from bcpnet.frames.preprocess import network_size_hw
from bcpnet.labels import IGNORE
from bcpnet.networks.frames import normalise
from bcpnet.training.batches import Example
from bcpnet.training.soft_labels import UNIT

_LABEL_STRIDE, _SOFT_STRIDE = 2, 4


def random_geometry(
    sizes_hw: list[tuple[int, int]],
    crop_hw: tuple[int, int],
    scale: tuple[float, float],
    flip: bool,
    generator: torch.Generator,
) -> Tensor:
    """Random scale, position of the crop and mirroring, one per image.

    Args:
        sizes_hw: of the N images at scale 1.
        crop_hw: size of the crops.
        scale: smallest and largest factor, drawn uniformly.
        flip: mirror with probability one half.
        generator: its device is the result's.

    Returns:
        N x 2 x 3 float32 maps from crop to image, for `torch.nn.functional.affine_grid`. A crop larger than the
        scaled image contains all of it, at a random place.
    """
    device = generator.device

    def uniform() -> Tensor:
        return torch.rand(len(sizes_hw), generator=generator, device=device)

    factor = scale[0] + (scale[1] - scale[0]) * uniform()
    theta = torch.zeros(len(sizes_hw), 2, 3, device=device)
    heights, widths = torch.tensor(sizes_hw, device=device).T
    for row, (size, crop) in enumerate(((widths, crop_hw[1]), (heights, crop_hw[0]))):
        scaled = factor * size
        start = uniform() * (scaled - crop)  # negative where the crop is larger
        # Normalised coordinates run from -1 to 1 over the whole side: x_image = a * x_crop + b.
        theta[:, row, row] = crop / scaled
        theta[:, row, 2] = (2 * start + crop) / scaled - 1
    if flip:
        theta[:, 0, 0] *= torch.where(uniform() < 0.5, -1.0, 1.0)
    return theta


def warp(images: Tensor, theta: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """Cuts crops, bilinearly: N C H W float32 -> N C h w; 0 beyond the image.

    Args:
        images: normalised, so that 0 is grey.
        theta: N x 2 x 3 from `random_geometry`.
        size_hw: size of the result, h and w.
    """
    grid = F.affine_grid(theta, [len(images), 1, *size_hw], align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def warp_labels(labels: Tensor, theta: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """Cuts the same crops from N H W uint8 labels, by nearest neighbour: N h w int64; IGNORE beyond the image."""
    grid = F.affine_grid(theta, [len(labels), 1, *size_hw], align_corners=False)
    # Shifted so that zero padding means IGNORE.
    shifted = labels[:, None].float() - IGNORE
    cut = F.grid_sample(shifted, grid, mode="nearest", padding_mode="zeros", align_corners=False)
    return (cut[:, 0] + IGNORE).long()


def warp_soft(soft: Tensor, theta: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """Cuts the same crops from soft labels: N K h w float32 probabilities; 0 for all classes beyond the image.

    Args:
        soft: N K a b uint8, in units of 1 / UNIT, of the whole images.
        theta: as of `warp`.
        size_hw: size of the result; that of the crops divided by the stride that is wanted.
    """
    return warp(soft.float() / UNIT, theta, size_hw)


def colour_jitter(images: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """Brightness, contrast, saturation and a colour cast, one random set per image; sizes and values as `normalise`.

    Factors are uniform in 1 +- `strength`, the cast in +- strength / 4 per channel. Shades stay within -1..1.
    """

    def factor(channels: int, width: float) -> Tensor:
        noise = torch.rand(len(images), channels, 1, 1, generator=generator, device=images.device)
        return 1 + width * (2 * noise - 1)

    grey = images.mean(1, keepdim=True)
    images = torch.lerp(grey.expand_as(images), images, factor(1, strength))
    mean = images.mean((1, 2, 3), keepdim=True)
    images = (images - mean) * factor(1, strength) + mean
    # Brightness and cast scale light, which is zero at -1.
    return ((images + 1) * factor(1, strength) * factor(3, strength / 4) - 1).clamp(-1, 1)


class Crops(NamedTuple):
    """What a network is trained on.

    Attributes:
        inputs: N 3 h w float32 network input, channels last in memory.
        labels: N ceil(h/2) ceil(w/2) int64: of every second pixel both ways. The crops lie at random, so nothing is
            lost, and the loss takes a quarter of its time.
        soft: N K ceil(h/4) ceil(w/4) float32 soft labels, or None.
    """

    inputs: Tensor
    labels: Tensor
    soft: Tensor | None


def augment(
    examples: list[Example],
    *,
    short_side: int,
    crop_hw: tuple[int, int],
    scale: tuple[float, float],
    flip: bool,
    jitter: float,
    generator: torch.Generator,
) -> Crops:
    """Random crops of images of any size. Same generator, same crops.

    Args:
        examples: at least one; all with soft labels or none.
        short_side: short side of an image at scale 1.
        crop_hw: size of the crops, h and w.
        scale: smallest and largest factor before the crop.
        flip: mirror half of them.
        jitter: strength of `colour_jitter`.
        generator: of everything random.
    """
    sizes_hw = [network_size_hw((example.image.shape[1], example.image.shape[2]), short_side) for example in examples]
    thetas = random_geometry(sizes_hw, crop_hw, scale, flip, generator)
    inputs, labels, soft = [], [], []
    for example, theta in zip(examples, thetas[:, None], strict=True):
        inputs.append(warp(normalise(example.image[None]), theta, crop_hw))
        labels.append(warp_labels(example.label[None], theta, _divided(crop_hw, _LABEL_STRIDE)))
        if example.soft is not None:
            soft.append(warp_soft(example.soft[None], theta, _divided(crop_hw, _SOFT_STRIDE)))
    crops = torch.cat(inputs)
    if jitter > 0:
        crops = colour_jitter(crops, jitter, generator)
    return Crops(
        crops.contiguous(memory_format=torch.channels_last), torch.cat(labels), torch.cat(soft) if soft else None
    )


def _divided(size_hw: tuple[int, int], stride: int) -> tuple[int, int]:
    return -(-size_hw[0] // stride), -(-size_hw[1] // stride)
