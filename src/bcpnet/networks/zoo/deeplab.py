"""DeepLab v2 with ResNet-101 (Chen, Papandreou, Kokkinos, Murphy, Yuille 2017, TPAMI).

ResNet-101 with the last two stages dilated, so that features stay at stride 8 (section 3.1), and atrous spatial
pyramid pooling on them (section 3.2, Fig. 7; rates of the variant ASPP-L). As in the release, a branch of it is one
3x3 classifier. The network alone: not the fully connected CRF behind it, nor the maximum over an image's three scales.

43.9 M parameters and 365 GMAC at 512x1024 with 19 classes; BCPNet's Table 1 prints 262.1 M and 457.8 G. The reason is
unknown: as floats the parameters fill 167 MiB, ImageNet's classifier would add 2.0 M, and operations are 730 G.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bcpnet.networks.encoders.resnet import ResNet

_RATES = (6, 12, 18, 24)


class AtrousSpatialPyramid(nn.Module):
    """The sum of 3x3 classifiers that reach differently far."""

    def __init__(self, channels: int, num_classes: int) -> None:
        """Channels in, classes out."""
        super().__init__()
        self.classifiers = nn.ModuleList(
            nn.Conv2d(channels, num_classes, 3, padding=rate, dilation=rate) for rate in _RATES
        )

    def forward(self, x: Tensor) -> Tensor:
        """N channels H W -> N K H W logits."""
        return torch.stack([classifier(x) for classifier in self.classifiers]).sum(0)


class DeepLab(nn.Module):
    """N 3 H W images -> N K ceil(H/8) ceil(W/8) logits, any H, W >= 32; upsampling them is left to the caller."""

    def __init__(self, num_classes: int) -> None:
        """Builds the network with random weights; `num_classes` is K."""
        super().__init__()
        self.encoder = ResNet(101, output_stride=8)
        self.head = AtrousSpatialPyramid(self.encoder.channels[-1], num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """N 3 H W -> N K ceil(H/8) ceil(W/8) logits."""
        *_, features = self.encoder(images)
        logits: Tensor = self.head(features)
        return logits
