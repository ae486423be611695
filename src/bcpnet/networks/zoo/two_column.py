"""Two-column network with spatial sparsity (Wu, Shen, van den Hengel 2017, arXiv 1712.00213): our reading of it.

There is no release, and only the paper's abstract and introduction were at hand. From them: a column for the image
and one for the image at half its size, whose class maps are combined; regions of the full-resolution column that do
not matter are left out. A third party's summary adds that the half-resolution column predicts a sparse weight map, and
that features pass from column to column.

Ours: two dilated ResNet-18 whose features lie on one grid, at stride 16 of the image. The half-resolution column gives
class maps and a weight per place, a hard sigmoid; the full-resolution column reads the other's features too, and its
class maps are added times that weight. Where the weight is zero the column could be left out without changing a logit;
we compute it everywhere, since no operation of an exported graph leaves places out.

Counts at 19 classes: 22.6 M parameters (none published) and 56.4 GMAC at 512x1024 (published 57.2 G). They agree
because the ResNets were picked so; it says nothing about the reading. The size is that of BCPNet's tables, which print
14.7 frames a second there; the paper's abstract has 15 a second at 1024x2048, where ours takes 225.6 GMAC.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bcpnet.networks.encoders.resnet import ResNet
from bcpnet.networks.layers import conv_bn

_CONTEXT = 128  # channels that the full-resolution column takes from the other
_FUSED = 256


class TwoColumn(nn.Module):
    """N 3 H W images -> N K ceil(H/16) ceil(W/16) logits, any H, W >= 32; upsampling them is left to the caller."""

    def __init__(self, num_classes: int) -> None:
        """Builds the network with random weights; `num_classes` is K."""
        super().__init__()
        self.half_column = ResNet(18, output_stride=8)
        self.full_column = ResNet(18, output_stride=16)
        channels = self.half_column.channels[-1]
        self.half_head = nn.Conv2d(channels, num_classes, 1)
        self.weight = nn.Conv2d(channels, 1, 1)
        nn.init.zeros_(self.weight.weight)  # training starts with the full-resolution column at half weight everywhere
        self.context = conv_bn(channels, _CONTEXT, act=nn.ReLU)
        self.full_head = nn.Sequential(
            conv_bn(self.full_column.channels[-1] + _CONTEXT, _FUSED, act=nn.ReLU), nn.Conv2d(_FUSED, num_classes, 1)
        )

    def forward(self, images: Tensor) -> Tensor:
        """N 3 H W -> N K ceil(H/16) ceil(W/16) logits."""
        *_, full = self.full_column(images)
        *_, half = self.half_column(F.avg_pool2d(images, 2, ceil_mode=True))
        weight = F.hardsigmoid(self.weight(half))
        fine = self.full_head(torch.cat([full, self.context(half)], 1))
        logits: Tensor = self.half_head(half) + weight * fine
        return logits
