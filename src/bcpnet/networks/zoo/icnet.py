"""ICNet (Zhao, Qi, Shen, Shi, Jia 2018).

Three resolutions (Fig. 2): the whole image goes through three convolutions to stride 8, the image at half its size
through the first 17 convolutions of a PSPNet-50 to stride 16, and what comes out of those, halved once more, through
the rest of it to stride 32: the two lower branches share those convolutions and their computation (section 3.2).
Cascade feature fusion (section 3.3, Fig. 3) joins coarse to fine twice. While training, the coarser side of each
fusion is classified too (cascade label guidance).

This is the compressed network that the paper times: half of PSPNet-50's kernels in every layer, hence stages 128, 256,
512 and 1024 channels wide, three 3x3 convolutions of 32, 32 and 64 first, and 256 channels after the pyramid. Widths
are those of the authors' release, and so is the pyramid, which adds the averages over regions to the features. The
release aligns corners where it resizes; we resize as all of this package does.

6.70 M parameters without the auxiliary classifiers, with 19 classes. BCPNet's Table 1 prints 26.5 M, which fits the
floats in MB: ours fill 26.8. 29.1 GMAC at 1024x2048; that table prints 28.3 G.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bcpnet.networks.encoders.resnet import ResidualBlock
from bcpnet.networks.layers import conv_bn
from bcpnet.networks.resample import adaptive_average_pool, resize_to

_BINS = (1, 2, 3, 6)
_FUSED = 128  # channels of both fusions


def _stage(inp: int, width: int, blocks: int, dilation: int = 1) -> list[ResidualBlock]:
    """Bottlenecks at stride 1, from `inp` to four times `width` channels."""
    channels = [inp] + [4 * width] * (blocks - 1)
    return [ResidualBlock("bottleneck", c, width, 1, (dilation, dilation)) for c in channels]


def _halved(x: Tensor) -> Tensor:
    """N C H W -> N C ceil(H/2) ceil(W/2), bilinear: the mean of each 2x2."""
    return F.avg_pool2d(x, 2, ceil_mode=True)


class PyramidSum(nn.Module):
    """The features plus their averages over 1, 2x2, 3x3 and 6x6 regions."""

    def forward(self, x: Tensor) -> Tensor:
        """N C H W -> N C H W."""
        return torch.stack([x, *(resize_to(adaptive_average_pool(x, bins), x) for bins in _BINS)]).sum(0)


class CascadeFusion(nn.Module):
    """Cascade feature fusion (Fig. 3): coarse features at the finer size, each side convolved, then their sum."""

    def __init__(self, coarse: int, fine: int) -> None:
        """Channels of the coarse and of the fine features."""
        super().__init__()
        self.coarse = conv_bn(coarse, _FUSED, 3, dilation=2)
        self.fine = conv_bn(fine, _FUSED)
        self.act = nn.ReLU()

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        """Coarse features, already at the size of the fine ones H W, and those -> N 128 H W."""
        fused: Tensor = self.act(self.coarse(coarse) + self.fine(fine))
        return fused


class ICNet(nn.Module):
    """N 3 H W images -> N K ceil(H/4) ceil(W/4) logits, any H, W >= 32; upsampling them is left to the caller."""

    def __init__(self, num_classes: int) -> None:
        """Builds the network with random weights; `num_classes` is K."""
        super().__init__()
        self.middle = nn.Sequential(
            conv_bn(3, 32, 3, stride=2, act=nn.ReLU),
            conv_bn(32, 32, 3, act=nn.ReLU),
            conv_bn(32, 64, 3, act=nn.ReLU),
            nn.MaxPool2d(3, 2, 1),
            *_stage(64, 32, 3),
            ResidualBlock("bottleneck", 128, 64, 2, (1, 1)),
        )
        self.low = nn.Sequential(
            *_stage(256, 64, 3),
            *_stage(256, 128, 6, dilation=2),
            *_stage(512, 256, 3, dilation=4),
            PyramidSum(),
            conv_bn(1024, 256, act=nn.ReLU),
        )
        self.high4 = nn.Sequential(conv_bn(3, 32, 3, stride=2, act=nn.ReLU), conv_bn(32, 32, 3, stride=2, act=nn.ReLU))
        self.high8 = conv_bn(32, 64, 3, stride=2, act=nn.ReLU)
        self.fusion16 = CascadeFusion(256, 256)
        self.fusion8 = CascadeFusion(_FUSED, 64)
        self.head = nn.Conv2d(_FUSED, num_classes, 1)
        self.auxiliary = nn.ModuleList(nn.Conv2d(channels, num_classes, 1) for channels in (256, _FUSED))

    def forward(self, images: Tensor) -> Tensor:
        """N 3 H W -> N K ceil(H/4) ceil(W/4) logits."""
        logits, _ = self._logits_and_coarse(images)
        return logits

    def forward_with_auxiliary(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        """N 3 H W -> logits as `forward`, and those of what each fusion takes from below, at strides 16 and 8."""
        logits, coarse = self._logits_and_coarse(images)
        return logits, [head(x) for head, x in zip(self.auxiliary, coarse, strict=True)]

    def _logits_and_coarse(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The logits, and the coarse features of both fusions, at strides 16 and 8."""
        high4 = self.high4(images)
        high8 = self.high8(high4)
        middle = self.middle(_halved(images))
        low = resize_to(self.low(_halved(middle)), middle)
        fused16 = resize_to(self.fusion16(low, middle), high8)
        fused8 = resize_to(self.fusion8(fused16, high8), high4)
        return self.head(fused8), [low, fused16]

    def fold_(self) -> None:
        """Drops the auxiliary classifiers, which inference does not use."""
        self.auxiliary = nn.ModuleList()
