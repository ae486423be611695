"""Xception-39, the light encoder of BiSeNet (Yu et al. 2018, section 4), after Xception (Chollet 2017).

A 3x3 convolution to 8 channels and a 3x3 max pooling, stride 2 each, then three stages of 4, 8 and 4 blocks; a stage's
first block has stride 2. A block is a bottleneck of three separable convolutions. The paper gives no widths; these are
of the authors' release.

299,448 parameters and 186 MMAC at 360x640. The paper prints 185.5 M for an FCN-32s on it, and 1.2 M parameters, which
fits the floats in MiB: with a classifier of 19 classes, ours fill 1.16.
"""

from __future__ import annotations

from torch import Tensor, nn

from bcpnet.networks.layers import BatchNorm2d, conv_bn

# Channels out, blocks.
_STAGES = ((64, 4), (128, 8), (256, 4))


def _separable(inp: int, out: int, stride: int = 1) -> nn.Sequential:
    """Depthwise 3x3 and pointwise convolution with nothing between them, then batch norm."""
    return nn.Sequential(
        nn.Conv2d(inp, inp, 3, stride, 1, groups=inp, bias=False),
        nn.Conv2d(inp, out, 1, bias=False),
        BatchNorm2d(out),
    )


class XceptionBlock(nn.Module):
    """Three separable convolutions, a quarter of the output's channels inside, plus the input, then ReLU."""

    def __init__(self, inp: int, out: int, stride: int) -> None:
        """Channels in and out; the first convolution has the stride."""
        super().__init__()
        width = out // 4
        self.branch = nn.Sequential(
            _separable(inp, width, stride), nn.ReLU(), _separable(width, width), nn.ReLU(), _separable(width, out)
        )
        self.shortcut = nn.Identity() if stride == 1 and inp == out else _separable(inp, out, stride)
        self.act = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """N inp H W -> N out ceil(H/stride) ceil(W/stride)."""
        y: Tensor = self.act(self.branch(x) + self.shortcut(x))
        return y


class Xception39(nn.Module):
    """Image -> features at strides 8, 16 and 32."""

    channels = (64, 128, 256)

    def __init__(self) -> None:
        """Weights as PyTorch initialises them."""
        super().__init__()
        self.stem = nn.Sequential(conv_bn(3, 8, 3, stride=2, act=nn.ReLU), nn.MaxPool2d(3, 2, 1))
        stages = []
        inp = 8
        for out, blocks in _STAGES:
            rest = (XceptionBlock(out, out, 1) for _ in range(blocks - 1))
            stages.append(nn.Sequential(XceptionBlock(inp, out, 2), *rest))
            inp = out
        self.stages = nn.ModuleList(stages)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """N 3 H W -> N 64 H/8 W/8, N 128 H/16 W/16, N 256 H/32 W/32 (rounded up)."""
        c8 = self.stages[0](self.stem(x))
        c16 = self.stages[1](c8)
        return c8, c16, self.stages[2](c16)
