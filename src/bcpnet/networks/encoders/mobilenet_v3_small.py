"""The BCPNet authors' MobileNetV3-small: 431,180 parameters, features at strides 8, 16 and 32.

It differs from torchvision's and Google's: squeeze-excite acts on the projected output and carries batch norm,
and the last stages are narrower.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from bcpnet.networks.layers import SqueezeExcite, conv_bn

# kernel, in, expanded, out, squeeze-excite, activation, stride
_BLOCKS: tuple[tuple[int, int, int, int, bool, Callable[[], nn.Module], int], ...] = (
    (3, 16, 16, 16, True, nn.ReLU, 2),
    (3, 16, 72, 24, False, nn.ReLU, 2),
    (3, 24, 88, 24, False, nn.ReLU, 1),  # tap: stride 8, the paper's Layer-3
    (5, 24, 96, 40, True, nn.Hardswish, 2),
    (5, 40, 240, 40, True, nn.Hardswish, 1),
    (5, 40, 240, 40, True, nn.Hardswish, 1),
    (5, 40, 120, 48, True, nn.Hardswish, 1),
    (5, 48, 144, 48, True, nn.Hardswish, 1),  # tap: stride 16
    (5, 48, 288, 96, True, nn.Hardswish, 2),
    (5, 96, 576, 96, True, nn.Hardswish, 1),
    (5, 96, 576, 96, True, nn.Hardswish, 1),  # tap: stride 32
)
_TAPS = (0, 2, 7, 10)


class InvertedResidual(nn.Module):
    """Expand, depthwise, project, squeeze-excite, and a shortcut where the stride is 1."""

    def __init__(
        self, kernel: int, inp: int, mid: int, out: int, se: bool, act: Callable[[], nn.Module], stride: int
    ) -> None:
        """Arguments are the columns of `_BLOCKS`."""
        super().__init__()
        self.expand = conv_bn(inp, mid, act=act)
        self.depthwise = conv_bn(mid, mid, kernel, stride, groups=mid, act=act)
        self.project = conv_bn(mid, out)
        self.se = SqueezeExcite(out, out // 4) if se else nn.Identity()
        self.shortcut: nn.Module | None = None
        if stride == 1:
            self.shortcut = nn.Identity() if inp == out else conv_bn(inp, out)

    def forward(self, x: Tensor) -> Tensor:
        """N inp H W -> N out ceil(H/stride) ceil(W/stride)."""
        y: Tensor = self.se(self.project(self.depthwise(self.expand(x))))
        return y if self.shortcut is None else y + self.shortcut(x)


class MobileNetV3Small(nn.Module):
    """Image -> features at strides 4, 8, 16 and 32."""

    channels = (16, 24, 48, 96)
    lifted = (40, 112, 320)  # widths that the authors' BCP raises the features to first

    def __init__(self) -> None:
        """Weights as PyTorch initialises them."""
        super().__init__()
        self.stem = conv_bn(3, 16, 3, stride=2, act=nn.Hardswish)
        self.blocks = nn.ModuleList(InvertedResidual(*row) for row in _BLOCKS)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """N 3 H W -> N 16 H/4 W/4, N 24 H/8 W/8, N 48 H/16 W/16, N 96 H/32 W/32 (rounded up)."""
        taps = []
        x = self.stem(x)
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in _TAPS:
                taps.append(x)
        return taps[0], taps[1], taps[2], taps[3]
