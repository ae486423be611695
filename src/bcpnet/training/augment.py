"""Augmentation of whole batches: one geometry for images and labels, then colour for images alone."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from bcpnet.labels import IGNORE
from bcpnet.networks.frames import normalise
from bcpnet.training.soft_labels import UNIT

_SOFT_STRIDE = 4


def random_geometry(
    batch: int,
    size_hw: tuple[int, int],
    crop_hw: tuple[int, int],
    scale: tuple[float, float],
    flip: bool,
    generator: torch.Generator,
) -> Tensor:
    """Random scale, position of the crop and mirroring, one per image.

    Args:
        batch: number of images.
        size_hw: their size.
        crop_hw: size of the crops.
        scale: smallest and largest factor, drawn uniformly.
        flip: mirror with probability one half.
        generator: its device is the result's.

    Returns:
        batch x 2 x 3 float32 maps from crop to image, for `torch.nn.functional.affine_grid`. A crop larger than the
        scaled image contains all of it, at a random place.
    """
    device = generator.device

    def uniform() -> Tensor:
        return torch.rand(batch, generator=generator, device=device)

    factor = scale[0] + (scale[1] - scale[0]) * uniform()
    theta = torch.zeros(batch, 2, 3, device=device)
    for row, (size, crop) in enumerate(((size_hw[1], crop_hw[1]), (size_hw[0], crop_hw[0]))):
        scaled = factor * size
        start = uniform() * (scaled - crop)  # negative where the crop is larger
        # Normalised coordinates run from -1 to 1 over the whole side: x_image = a * x_crop + b.
        theta[:, row, row] = crop / scaled
        theta[:, row, 2] = (2 * start + crop) / scaled - 1
    if flip:
        theta[:, 0, 0] *= torch.where(uniform() < 0.5, -1.0, 1.0)
    return theta


def warp(images: Tensor, labels: Tensor, theta: Tensor, crop_hw: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Cuts crops from a batch: images bilinearly, labels by nearest neighbour.

    Args:
        images: N 3 H W float32, normalised, so that 0 is the padding.
        labels: N H W uint8; padding becomes IGNORE.
        theta: N x 2 x 3 from `random_geometry`.
        crop_hw: size of the crops.

    Returns:
        N 3 h w float32 and N h w int64.
    """
    grid = F.affine_grid(theta, [len(images), 3, *crop_hw], align_corners=False)
    crops = F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    # Shifted so that zero padding means IGNORE.
    shifted = labels[:, None].float() - IGNORE
    cut = F.grid_sample(shifted, grid, mode="nearest", padding_mode="zeros", align_corners=False)
    return crops, (cut[:, 0] + IGNORE).long()


def warp_soft(soft: Tensor, theta: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """Cuts the same crops from soft labels, bilinearly.

    Args:
        soft: N K h w uint8, in units of 1 / UNIT, of the whole images.
        theta: as of `warp`.
        size_hw: size of the result; that of the crops divided by the stride that is wanted.

    Returns:
        N K size_hw float32 probabilities; 0 for all classes beyond the image.
    """
    grid = F.affine_grid(theta, [len(soft), soft.shape[1], *size_hw], align_corners=False)
    return F.grid_sample(soft.float() / UNIT, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


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


def augment(
    images: Tensor,
    labels: Tensor,
    soft: Tensor | None = None,
    *,
    crop_hw: tuple[int, int],
    scale: tuple[float, float],
    flip: bool,
    jitter: float,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Random crops of a batch. Same generator, same crops.

    Args:
        images: N 3 H W uint8.
        labels: N H W uint8.
        soft: N K a b uint8 soft labels of the images, if there are any.
        crop_hw: size of the crops, h and w.
        scale: smallest and largest factor before the crop.
        flip: mirror half of them.
        jitter: strength of `colour_jitter`.
        generator: of everything random.

    Returns:
        N 3 h w float32 network input, N h w int64 labels, and N K ceil(h/4) ceil(w/4) float32 soft labels or None.
    """
    inputs = normalise(images)
    if jitter > 0:
        inputs = colour_jitter(inputs, jitter, generator)
    theta = random_geometry(len(images), (images.shape[2], images.shape[3]), crop_hw, scale, flip, generator)
    crops, cut = warp(inputs, labels, theta, crop_hw)
    small_hw = (-(-crop_hw[0] // _SOFT_STRIDE), -(-crop_hw[1] // _SOFT_STRIDE))
    soft_cut = None if soft is None else warp_soft(soft, theta, small_hw)
    return crops.contiguous(memory_format=torch.channels_last), cut, soft_cut
