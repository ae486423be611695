"""ResNet-18, -50 and -101 (He et al. 2016, Table 1) without the classifier; strides may be turned into dilation.

A 7x7 convolution and a 3x3 max pooling, stride 2 each, then four stages of residual blocks; stages 2, 3 and 4 begin
with stride 2. As in the paper (not in torchvision) a bottleneck's stride lies in its first 1x1 convolution.
"""

from __future__ import annotations

from torch import Tensor, nn

from bcpnet.errors import UsageError
from bcpnet.networks.layers import conv_bn

# Depth -> kind of block, and how many of them in each stage.
_DEPTHS = {18: ("basic", (2, 2, 2, 2)), 50: ("bottleneck", (3, 4, 6, 3)), 101: ("bottleneck", (3, 4, 23, 3))}
_OUTPUT_STRIDES = (4, 8, 16, 32)


class ResidualBlock(nn.Module):
    """The residual branch plus its input (or, where shapes change, a 1x1 convolution of it), then ReLU."""

    def __init__(self, kind: str, inp: int, width: int, stride: int, dilations: tuple[int, int]) -> None:
        """Builds the block.

        Args:
            kind: "basic" (3x3, 3x3) or "bottleneck" (1x1, 3x3, 1x1 to four times the width).
            inp: channels in.
            width: channels inside.
            stride: of the first convolution.
            dilations: of the features that come in, and of those that go out.
        """
        super().__init__()
        before, after = dilations
        if kind == "basic":
            out = width
            self.branch = nn.Sequential(
                conv_bn(inp, width, 3, stride, act=nn.ReLU, dilation=before),
                conv_bn(width, out, 3, dilation=after),
            )
        else:
            out = 4 * width
            self.branch = nn.Sequential(
                conv_bn(inp, width, 1, stride, act=nn.ReLU),
                conv_bn(width, width, 3, act=nn.ReLU, dilation=after),
                conv_bn(width, out),
            )
        self.shortcut = nn.Identity() if stride == 1 and inp == out else conv_bn(inp, out, 1, stride)
        self.act = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """N inp H W -> N out ceil(H/stride) ceil(W/stride)."""
        y: Tensor = self.act(self.branch(x) + self.shortcut(x))
        return y


class ResNet(nn.Module):
    """Image -> features of the four stages, at strides 4, 8, 16 and 32 or at most the output stride.

    Parts that others may run one by one: `stem` (stride 4, 64 channels) and `stages`, four `nn.Sequential`.
    """

    channels: tuple[int, int, int, int]

    def __init__(self, depth: int, *, output_stride: int = 32) -> None:
        """Builds the encoder with random weights.

        Args:
            depth: 18, 50 or 101.
            output_stride: 4, 8, 16 or 32. Below 32, strides are left out and every later 3x3 convolution reaches as
                much further instead, so that each value of the original's features is still there, with others between
                (DeepLab v2, section 3.1). The weights are the same.

        Raises:
            UsageError: another depth or output stride.
        """
        super().__init__()
        if depth not in _DEPTHS:
            raise UsageError(f"no ResNet-{depth}: choose {', '.join(map(str, _DEPTHS))}")
        if output_stride not in _OUTPUT_STRIDES:
            raise UsageError(f"no output stride {output_stride}: choose {', '.join(map(str, _OUTPUT_STRIDES))}")
        kind, repeats = _DEPTHS[depth]
        expansion = 1 if kind == "basic" else 4
        self.stem = nn.Sequential(conv_bn(3, 64, 7, stride=2, act=nn.ReLU), nn.MaxPool2d(3, 2, 1))
        stages = []
        inp, reached, dilation = 64, 4, 1
        for index, blocks in enumerate(repeats):
            width = 64 << index
            stride, before = 1, dilation
            if index > 0 and reached < output_stride:
                stride, reached = 2, 2 * reached
            elif index > 0:
                dilation *= 2
            stage = [ResidualBlock(kind, inp, width, stride, (before, dilation))]
            inp = width * expansion
            stage += [ResidualBlock(kind, inp, width, 1, (dilation, dilation)) for _ in range(blocks - 1)]
            stages.append(nn.Sequential(*stage))
        self.stages = nn.ModuleList(stages)
        self.channels = (64 * expansion, 128 * expansion, 256 * expansion, 512 * expansion)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """N 3 H W -> the four stages' features, `channels` wide (sizes rounded up)."""
        x = self.stem(x)
        taps = []
        for stage in self.stages:
            x = stage(x)
            taps.append(x)
        return taps[0], taps[1], taps[2], taps[3]
