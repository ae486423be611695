"""ENet (Paszke, Chaurasia, Kim, Culurciello 2016, arXiv 1606.02147): Table 1 and Fig. 2.

An encoder of bottlenecks to stride 8, with dilated and asymmetric convolutions in place of further strides, and a small
decoder back to every pixel. Where the encoder pooled, the decoder puts its values back at the maxima. Those of the
initial block belong to the image's three channels, not to classes: the last step is a bare transposed convolution.

From the paper: PReLU with a slope per channel throughout (the authors' release has ReLU in the decoder), and spatial
dropout, 0.01 before bottleneck 2.0 and 0.1 from there on (the release drops nothing in the decoder). From the release:
a bottleneck is a quarter as wide as its output, the initial block ends with batch norm and PReLU, nothing lies between
the two halves of an asymmetric convolution, and the last kernel is 2x2. Convolutions in front of a batch norm have no
bias.

Ours at 19 classes: 0.364 M parameters (the paper's Table 3: 0.37 M), 1.72 GMAC at 360x640. Twice that, 3.45 G
operations, is 10 % below the published 3.83 G. Batch norms, activations, biases and sums would add 0.13 G; what else
was counted is unknown.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from bcpnet.networks.layers import BatchNorm2d, conv_bn
from bcpnet.networks.unpool import max_pool, max_unpool

# The main convolution of a bottleneck: a dilation, or 5x1 and 1x5.
Kind = int | Literal["asymmetric"]
# Section 2 of Table 1 after its downsampling; section 3 is the same again.
_CONTEXT: tuple[Kind, ...] = (1, 2, "asymmetric", 4, 1, 8, "asymmetric", 16)


class InitialBlock(nn.Module):
    """A 3x3 convolution of stride 2 to 13 channels and, beside it, the image's own three max pooled (Fig. 2a)."""

    def __init__(self) -> None:
        """Weights as PyTorch initialises them."""
        super().__init__()
        self.conv = conv_bn(3, 13, 3, stride=2)
        self.pool = nn.Sequential(nn.MaxPool2d(2, ceil_mode=True), BatchNorm2d(3))
        self.act = nn.PReLU(16)

    def forward(self, images: Tensor) -> Tensor:
        """N 3 H W -> N 16 ceil(H/2) ceil(W/2)."""
        y: Tensor = self.act(torch.cat([self.conv(images), self.pool(images)], 1))
        return y

    def fold_(self) -> None:
        """Puts a convolution that does nothing before the pooled channels' batch norm, for `fold` to merge it with."""
        identity = nn.Conv2d(3, 3, 1, groups=3, bias=False)
        nn.init.ones_(identity.weight)
        self.pool.insert(1, identity)


def _expand(width: int, out: int, dropout: float) -> nn.Sequential:
    """The end of a bottleneck's branch."""
    return nn.Sequential(*conv_bn(width, out), nn.Dropout2d(dropout))


class Bottleneck(nn.Module):
    """The branch (1x1, main convolution, 1x1, spatial dropout) plus its input, then PReLU (Fig. 2b)."""

    def __init__(self, channels: int, dropout: float, kind: Kind = 1) -> None:
        """Channels in and out, probability that one is dropped, and the main convolution."""
        super().__init__()
        width = channels // 4
        if kind == "asymmetric":
            main = [
                nn.Conv2d(width, width, (5, 1), padding=(2, 0), bias=False),
                nn.Conv2d(width, width, (1, 5), padding=(0, 2), bias=False),
            ]
        else:
            main = [nn.Conv2d(width, width, 3, padding=kind, dilation=kind, bias=False)]
        self.branch = nn.Sequential(
            *conv_bn(channels, width),
            nn.PReLU(width),
            *main,
            BatchNorm2d(width),
            nn.PReLU(width),
            *_expand(width, channels, dropout),
        )
        self.act = nn.PReLU(channels)

    def forward(self, x: Tensor) -> Tensor:
        """N channels H W -> the same."""
        y: Tensor = self.act(x + self.branch(x))
        return y


class Downsampling(nn.Module):
    """A bottleneck whose branch begins with a 2x2 convolution of stride 2; its input is max pooled and filled up with
    channels of zeros.
    """

    def __init__(self, inp: int, out: int, dropout: float) -> None:
        """Channels in and out, and the probability that one is dropped."""
        super().__init__()
        width = out // 4
        self.branch = nn.Sequential(
            nn.ZeroPad2d((0, 1, 0, 1)),  # an odd size is rounded up; the window never reaches it at an even one
            nn.Conv2d(inp, width, 2, 2, bias=False),
            BatchNorm2d(width),
            nn.PReLU(width),
            *conv_bn(width, width, 3),
            nn.PReLU(width),
            *_expand(width, out, dropout),
        )
        self.more = out - inp
        self.act = nn.PReLU(out)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """N inp H W -> N out ceil(H/2) ceil(W/2), and the places of the maxima as `max_pool`."""
        pooled, place = max_pool(x)
        return self.act(F.pad(pooled, (0, 0, 0, 0, 0, self.more)) + self.branch(x)), place


class Upsampling(nn.Module):
    """A bottleneck whose main convolution is transposed, of stride 2; its input goes through a 1x1 convolution to where
    the encoder's maxima were.
    """

    def __init__(self, inp: int, out: int, dropout: float) -> None:
        """Channels in and out, and the probability that one is dropped."""
        super().__init__()
        width = out // 4
        self.skip = conv_bn(inp, out)
        self.reduce = nn.Sequential(*conv_bn(inp, width), nn.PReLU(width))
        self.up: nn.Module = nn.Sequential(
            nn.ConvTranspose2d(width, width, 3, 2, padding=1, output_padding=1, bias=False), BatchNorm2d(width)
        )
        self.expand = nn.Sequential(nn.PReLU(width), *_expand(width, out, dropout))
        self.act = nn.PReLU(out)

    def forward(self, x: Tensor, place: Tensor, size_hw: tuple[int, int]) -> Tensor:
        """N inp h w, the places of maxima (N out h w) and the size they were pooled from -> N out H W."""
        height, width = size_hw
        branch = self.expand(self.up(self.reduce(x)))[..., :height, :width]
        y: Tensor = self.act(max_unpool(self.skip(x), place, size_hw) + branch)
        return y

    def fold_(self) -> None:
        """Merges the transposed convolution with its batch norm, a pair that `fold` does not look for."""
        conv, norm = self.up.children()
        assert isinstance(conv, nn.ConvTranspose2d)
        assert isinstance(norm, BatchNorm2d)
        self.up = fuse_conv_bn_eval(conv, norm, transpose=True)


class ENet(nn.Module):
    """N 3 H W images -> N K H W logits, any H, W >= 32."""

    def __init__(self, num_classes: int) -> None:
        """Builds the network with random weights for K = `num_classes`."""
        super().__init__()
        self.initial = InitialBlock()
        self.down1 = Downsampling(16, 64, 0.01)
        self.section1 = nn.Sequential(*(Bottleneck(64, 0.01) for _ in range(4)))
        self.down2 = Downsampling(64, 128, 0.1)
        self.section2 = nn.Sequential(*(Bottleneck(128, 0.1, kind) for kind in _CONTEXT))
        self.section3 = nn.Sequential(*(Bottleneck(128, 0.1, kind) for kind in _CONTEXT))
        self.up4 = Upsampling(128, 64, 0.1)
        self.section4 = nn.Sequential(Bottleneck(64, 0.1), Bottleneck(64, 0.1))
        self.up5 = Upsampling(64, 16, 0.1)
        self.section5 = Bottleneck(16, 0.1)
        self.head = nn.ConvTranspose2d(16, num_classes, 2, 2)

    def forward(self, images: Tensor) -> Tensor:
        """N 3 H W -> N K H W logits."""
        x2 = self.initial(images)
        x4, place2 = self.down1(x2)
        x4 = self.section1(x4)
        x8, place4 = self.down2(x4)
        x8 = self.section3(self.section2(x8))
        y4 = self.section4(self.up4(x8, place4, x4.shape[-2:]))
        y2 = self.section5(self.up5(y4, place2, x2.shape[-2:]))
        height, width = images.shape[-2:]
        logits: Tensor = self.head(y2)[..., :height, :width]
        return logits
