"""PSPNet with ResNet-101 (Zhao, Shi, Qi, Wang, Jia 2017).

ResNet-101 with the last two stages dilated (stride 8), the pyramid pooling module (Fig. 3), and a classifier. While
training, a second classifier reads stage 3's features; its loss weighs 0.4 (section 4, Fig. 4). Widths of both
classifiers and the dropout are those of the authors' releases. The releases replace ResNet's 7x7 convolution by three
3x3 ones (64, 64, 128 channels), which the paper does not mention: ours is the 7x7. They also align corners where they
resize; we resize as all of this package does.

65.6 M parameters without the auxiliary classifier, with 19 classes. BCPNet's Table 1 prints 250.8 M, which fits the
floats in MiB: ours fill 250.2. 503 GMAC at 713x713, of which ResNet-101 takes 350 and the 3x3 convolution after the
pyramid 153; that table prints 412.2 G, the reason is unknown.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bcpnet.networks.encoders.resnet import ResNet
from bcpnet.networks.layers import conv_bn
from bcpnet.networks.resample import adaptive_average_pool, resize_to

_BINS = (1, 2, 3, 6)


class PyramidPooling(nn.Module):
    """Features, and beside them their averages over 1, 2x2, 3x3 and 6x6 regions, a quarter as many channels each."""

    def __init__(self, channels: int) -> None:
        """`channels` in; twice as many out."""
        super().__init__()
        self.branches = nn.ModuleList(conv_bn(channels, channels // len(_BINS), act=nn.ReLU) for _ in _BINS)

    def forward(self, x: Tensor) -> Tensor:
        """N channels H W -> N 2*channels H W."""
        regions = [
            resize_to(branch(adaptive_average_pool(x, bins)), x)
            for branch, bins in zip(self.branches, _BINS, strict=True)
        ]
        return torch.cat([x, *regions], 1)


def _classifier(channels: int, width: int, num_classes: int) -> nn.Sequential:
    return nn.Sequential(
        conv_bn(channels, width, 3, act=nn.ReLU),
        nn.Dropout2d(0.1),
        nn.Conv2d(width, num_classes, 1),
    )


class PSPNet(nn.Module):
    """N 3 H W images -> N K ceil(H/8) ceil(W/8) logits, any H, W >= 32; upsampling them is left to the caller."""

    def __init__(self, num_classes: int) -> None:
        """Builds the network with random weights; `num_classes` is K."""
        super().__init__()
        self.encoder = ResNet(101, output_stride=8)
        *_, c3, c4 = self.encoder.channels
        self.pyramid = PyramidPooling(c4)
        self.head = _classifier(2 * c4, 512, num_classes)
        self.auxiliary: nn.Module = _classifier(c3, 256, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """N 3 H W -> N K ceil(H/8) ceil(W/8) logits."""
        *_, stage4 = self.encoder(images)
        logits: Tensor = self.head(self.pyramid(stage4))
        return logits

    def forward_with_auxiliary(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        """N 3 H W -> logits as `forward`, and those of stage 3, of the same shape."""
        *_, stage3, stage4 = self.encoder(images)
        return self.head(self.pyramid(stage4)), [self.auxiliary(stage3)]

    def fold_(self) -> None:
        """Drops the auxiliary classifier, which inference does not use."""
        self.auxiliary = nn.Identity()
