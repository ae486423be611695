"""EDANet: efficient dense modules of asymmetric convolution (Lo, Hang, Chan, Lin 2019, arXiv 1809.06323).

Two downsampling blocks (of ENet's kind) bring the image to stride 4, where five EDA modules run; a third one halves
resolution and width, and eight more modules run at stride 8. As in DenseNet a module hands on its input beside its own
40 new channels. There is no decoder: a 1x1 convolution classifies at stride 8 (the paper then upsamples bilinearly).
Batch norm and ReLU follow each pair of asymmetric convolutions, none lies between the two. Widths, dilations and
dropout are those that public reimplementations of the paper agree on; the authors published tables, no code.

Counts at 19 classes: 686,698 parameters (published 0.68 M) and 8.83 GMAC at 512x1024 (published 8.97 G).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bcpnet.networks.layers import BatchNorm2d, conv_bn

_GROWTH = 40
_DILATIONS_STRIDE4 = (1, 1, 1, 2, 2)
_DILATIONS_STRIDE8 = (2, 2, 4, 4, 8, 8, 16, 16)
_DROPOUT = 0.02


class DownsamplingBlock(nn.Module):
    """A 3x3 convolution of stride 2 beside a 2x2 max pooling of the input, then batch norm and ReLU."""

    def __init__(self, inp: int, out: int) -> None:
        """Channels in and out; the convolution makes `out - inp` of them."""
        super().__init__()
        self.conv = conv_bn(inp, out - inp, 3, stride=2)
        # Each branch with a batch norm of its own is the same as one behind both. The size rounds up as the
        # convolution's does.
        self.pool = nn.Sequential(nn.MaxPool2d(2, ceil_mode=True), BatchNorm2d(inp))
        self.act = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """N inp H W -> N out ceil(H/2) ceil(W/2)."""
        y: Tensor = self.act(torch.cat([self.conv(x), self.pool(x)], 1))
        return y

    def fold_(self) -> None:
        """Puts an identity convolution in front of the pooled channels' batch norm, for `fold` to merge with it."""
        norm = self.pool[1]
        assert isinstance(norm, BatchNorm2d)
        identity = nn.Conv2d(norm.num_features, norm.num_features, 1, groups=norm.num_features, bias=False)
        identity.weight = nn.Parameter(torch.ones_like(norm.weight)[:, None, None, None])
        self.pool.insert(1, identity)


def _asymmetric(channels: int, dilation: int) -> nn.Sequential:
    """A 3x3 convolution taken apart into 3x1 and 1x3, then batch norm and ReLU."""
    return nn.Sequential(
        nn.Conv2d(channels, channels, (3, 1), padding=(dilation, 0), dilation=dilation, bias=False),
        nn.Conv2d(channels, channels, (1, 3), padding=(0, dilation), dilation=dilation, bias=False),
        BatchNorm2d(channels),
        nn.ReLU(),
    )


class EDAModule(nn.Module):
    """1x1, asymmetric and dilated asymmetric convolution to 40 channels, then dropout, beside the input."""

    def __init__(self, inp: int, dilation: int) -> None:
        """Channels in, and the dilation of the second asymmetric convolution."""
        super().__init__()
        self.branch = nn.Sequential(
            conv_bn(inp, _GROWTH, act=nn.ReLU),
            _asymmetric(_GROWTH, 1),
            _asymmetric(_GROWTH, dilation),
            nn.Dropout(_DROPOUT),
        )

    def forward(self, x: Tensor) -> Tensor:
        """N inp H W -> N inp + 40 H W."""
        return torch.cat([self.branch(x), x], 1)


def _eda_block(inp: int, dilations: tuple[int, ...]) -> nn.Sequential:
    return nn.Sequential(*(EDAModule(inp + _GROWTH * index, dilation) for index, dilation in enumerate(dilations)))


class EDANet(nn.Module):
    """N 3 H W images -> N K ceil(H/8) ceil(W/8) logits, any H, W >= 32."""

    def __init__(self, num_classes: int) -> None:
        """Builds the network with random weights for K = `num_classes`."""
        super().__init__()
        self.down2 = DownsamplingBlock(3, 15)
        self.down4 = DownsamplingBlock(15, 60)
        self.block4 = _eda_block(60, _DILATIONS_STRIDE4)
        # Fewer channels out than in: the convolution alone.
        self.down8 = conv_bn(260, 130, 3, stride=2, act=nn.ReLU)
        self.block8 = _eda_block(130, _DILATIONS_STRIDE8)
        self.head = nn.Conv2d(450, num_classes, 1)

    def forward(self, images: Tensor) -> Tensor:
        """N 3 H W -> N K ceil(H/8) ceil(W/8) logits."""
        x = self.block4(self.down4(self.down2(images)))
        logits: Tensor = self.head(self.block8(self.down8(x)))
        return logits
