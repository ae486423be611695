"""FRRN A and B: Full-Resolution Residual Networks (Pohlen, Hermans, Mathias, Leibe 2017, arXiv 1611.08323, Table 1).

Two streams run side by side. The residual stream stays at the image's resolution, and every unit adds to it, as in a
ResNet. The pooling stream is halved four (A) or five (B) times by max pooling and doubled as often. A full-resolution
residual unit joins them: the residual stream, max-pooled to the stride of the other, enters its two convolutions, and
what they find is added to the residual stream, each value repeated over the pixels it stands for.

Layers and channels are those of the authors' release (github.com/TobyPDE/FRRN, dltools/architectures.py). So are the
bilinear doubling of the pooling stream and the unit's last 1x1 convolution, with bias and without batch norm. Ours
alone: interpolation counts from pixel centres, and sizes round up, so that any size passes.

Counts at 19 classes: 17,746,803 (A) and 24,755,699 (B) parameters; the paper has 17.7 M and 24.8 M. At 512x1024 they
take 492 and 496 G multiply-adds, 2.1 times the 235 G that BCPNet's Table 1 prints, and what that counts is unknown.
A quarter of the size, 256x512, which the release trains A on, takes A 123 G multiply-adds or 246 G operations.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bcpnet.networks.layers import conv_bn

_WIDTH = 48  # channels of the convolutions at full resolution
_RESIDUAL = 32  # channels of the residual stream
# Stages of the pooling stream on its way down and up: how many units, their channels, their stride.
_Stages = tuple[tuple[int, int, int], ...]
_DOWN: _Stages = ((3, 96, 2), (4, 192, 4), (2, 384, 8), (2, 384, 16))
_UP: _Stages = ((2, 192, 8), (2, 192, 4), (2, 96, 2))


def _pool(x: Tensor, stride: int) -> Tensor:
    return F.max_pool2d(x, stride, ceil_mode=True)


def _unpool(x: Tensor, stride: int, mode: str, size_hw: tuple[int, int]) -> Tensor:
    """Enlarges by `stride` and cuts to the size that pooling rounded up from."""
    height, width = size_hw
    return F.interpolate(x, scale_factor=float(stride), mode=mode)[..., :height, :width]


def _size(x: Tensor) -> tuple[int, int]:
    return x.shape[-2], x.shape[-1]


class ResidualUnit(nn.Module):
    """Two 3x3 convolutions plus the input, or a 1x1 convolution of it where channels change. No ReLU follows."""

    def __init__(self, inp: int, out: int) -> None:
        """Channels in and out."""
        super().__init__()
        self.branch = nn.Sequential(conv_bn(inp, out, 3, act=nn.ReLU), conv_bn(out, out, 3))
        self.shortcut = nn.Identity() if inp == out else nn.Conv2d(inp, out, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """N inp H W -> N out H W."""
        y: Tensor = self.branch(x) + self.shortcut(x)
        return y


class FullResolutionResidualUnit(nn.Module):
    """Two convolutions over both streams; their output goes on in one and is added to the other."""

    def __init__(self, inp: int, out: int, stride: int) -> None:
        """Channels of the pooling stream in and out, and its stride."""
        super().__init__()
        self.stride = stride
        self.convs = nn.Sequential(conv_bn(inp + _RESIDUAL, out, 3, act=nn.ReLU), conv_bn(out, out, 3, act=nn.ReLU))
        self.residual = nn.Conv2d(out, _RESIDUAL, 1)

    def forward(self, pooling: Tensor, residual: Tensor) -> tuple[Tensor, Tensor]:
        """N inp ceil(H/stride) ceil(W/stride) and N 32 H W -> the same with `out` channels, and N 32 H W."""
        pooling = self.convs(torch.cat([pooling, _pool(residual, self.stride)], 1))
        return pooling, residual + _unpool(self.residual(pooling), self.stride, "nearest", _size(residual))


class Stage(nn.Module):
    """Units of one stride, one after the other."""

    def __init__(self, inp: int, units: int, out: int, stride: int) -> None:
        """Channels of the pooling stream in and out, how many units, and its stride."""
        super().__init__()
        inputs = (inp, *[out] * (units - 1))
        self.units = nn.ModuleList(FullResolutionResidualUnit(channels, out, stride) for channels in inputs)

    def forward(self, pooling: Tensor, residual: Tensor) -> tuple[Tensor, Tensor]:
        """As `FullResolutionResidualUnit`."""
        for unit in self.units:
            pooling, residual = unit(pooling, residual)
        return pooling, residual


class FRRN(nn.Module):
    """N 3 H W images -> N K H W logits, any H, W >= 32: full resolution is the network's own."""

    def __init__(self, num_classes: int, down: _Stages, up: _Stages) -> None:
        """Builds the network with random weights.

        Args:
            num_classes: K.
            down: the stages that each begin with a halving of the pooling stream.
            up: those that begin with a doubling, back to stride 2.
        """
        super().__init__()
        self.stem = nn.Sequential(conv_bn(3, _WIDTH, 5, act=nn.ReLU), *(ResidualUnit(_WIDTH, _WIDTH) for _ in range(3)))
        self.split = conv_bn(_WIDTH, _RESIDUAL)
        widths = [_WIDTH, *(width for _, width, _ in (*down, *up))]
        stages = [Stage(inp, *stage) for inp, stage in zip(widths[:-1], (*down, *up), strict=True)]
        self.down = nn.ModuleList(stages[: len(down)])
        self.up = nn.ModuleList(stages[len(down) :])
        self.merge = nn.Sequential(
            ResidualUnit(widths[-1] + _RESIDUAL, _WIDTH), *(ResidualUnit(_WIDTH, _WIDTH) for _ in range(2))
        )
        self.head = nn.Conv2d(_WIDTH, num_classes, 1)

    def forward(self, images: Tensor) -> Tensor:
        """N 3 H W -> N K H W logits."""
        pooling = self.stem(images)
        residual = self.split(pooling)
        sizes = []
        for stage in self.down:
            sizes.append(_size(pooling))
            pooling, residual = stage(_pool(pooling, 2), residual)
        for stage in self.up:
            pooling, residual = stage(_unpool(pooling, 2, "bilinear", sizes.pop()), residual)
        pooling = _unpool(pooling, 2, "bilinear", sizes.pop())
        logits: Tensor = self.head(self.merge(torch.cat([pooling, residual], 1)))
        return logits


def frrn_a(num_classes: int) -> FRRN:
    """FRRN A: stride 16 at its deepest. Made for images of a quarter of Cityscapes' height and width."""
    return FRRN(num_classes, _DOWN, _UP)


def frrn_b(num_classes: int) -> FRRN:
    """FRRN B: stride 32 at its deepest. Made for images of half of Cityscapes' height and width."""
    return FRRN(num_classes, (*_DOWN, (2, 384, 32)), ((2, 192, 16), *_UP))
