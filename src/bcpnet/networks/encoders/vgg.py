"""VGG-16 (Simonyan, Zisserman 2015, Table 1, column D) without the classifier: 13 convolutions, 14,714,688 parameters.

Five stages of 3x3 convolutions, each stage followed by 2x2 max pooling.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from bcpnet.networks.layers import conv_bn

# Channels out of every convolution, stage by stage.
_STAGES = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))


def _conv(inp: int, out: int, batch_norm: bool) -> nn.Sequential:
    if batch_norm:
        return conv_bn(inp, out, 3, act=nn.ReLU)
    conv = nn.Conv2d(inp, out, 3, padding=1)
    # Without batch norm PyTorch's own weights shrink what the features say a thousandfold by the last stage; those of
    # He et al. (2015) hold it steady.
    nn.init.kaiming_normal_(conv.weight)
    return nn.Sequential(conv, nn.ReLU())


class VGG16(nn.Module):
    """Image -> features after each pooling, at strides 2, 4, 8, 16 and 32.

    Part that others may run one by one: `stages`, five `nn.Sequential` without their pooling.
    """

    channels = (64, 128, 256, 512, 512)

    def __init__(self, *, batch_norm: bool = False) -> None:
        """Builds the encoder with random weights.

        Args:
            batch_norm: after every convolution, in place of its bias: SegNet's encoder has it, the paper's network not.
        """
        super().__init__()
        stages = []
        inp = 3
        for widths in _STAGES:
            convs = []
            for out in widths:
                convs.append(_conv(inp, out, batch_norm))
                inp = out
            stages.append(nn.Sequential(*convs))
        self.stages = nn.ModuleList(stages)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """N 3 H W -> the five stages' features, `channels` wide (sizes rounded up)."""
        taps = []
        for stage in self.stages:
            x = F.max_pool2d(stage(x), 2, ceil_mode=True)
            taps.append(x)
        return taps[0], taps[1], taps[2], taps[3], taps[4]
