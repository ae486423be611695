"""SQ (Treml et al. 2016, "Speeding up semantic segmentation for autonomous driving", NIPS workshop MLITS).

A SqueezeNet-like encoder with ELU, parallel dilated convolutions, then refinements like SharpMask's that double the
resolution, each with features from the encoder: so much is in the paper's abstract. Its text was not at hand, and the
rest comes from three sources:

- The first author's release (github.com/mtreml/squeezenet, architecture.py): the layers and channels of SqueezeNet
  v1.1 (Iandola et al. 2016), but the first convolution has stride 1, so that class maps leave at full resolution, and
  pooling is 2x2; no batch norm; dropout of one half in front of the class maps; these are doubled by 4x4 transposed
  convolutions, bilinear at first; bypasses of 32 channels; ELU on the logits too.
- SqueezeNet v1.1: the third and fourth fire module squeeze to 32 channels. The release has 128, as many as enter.
- Our reading: dilations 1, 2, 4 and 8, summed, which other implementations share, and as many channels as classes.
  The release has a 1x1 convolution to class maps here. With the encoder's 512 channels they alone would take 309 G.

Counts at 19 classes: 1,245,448 parameters (722,496 are SqueezeNet v1.1 without classifier) and 155 G multiply-adds
at 1024x2048. BCPNet's Table 1 prints 270 G; 310 G operations would be 15 % more, 155 G 43 % less. Its counter, and the
widths it counted, are unknown. The release as it stands has 181 G multiply-adds.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

# SqueezeNet v1.1: channels of every fire module after its squeeze and after each half of its expansion.
_FIRES = (((16, 64), (16, 64)), ((32, 128), (32, 128)), ((48, 192), (48, 192), (64, 256), (64, 256)))
_DILATIONS = (1, 2, 4, 8)
_BYPASS = 32  # channels that a refinement takes from the encoder


def _conv_elu(inp: int, out: int, kernel: int, dilation: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(inp, out, kernel, padding=dilation * (kernel // 2), dilation=dilation)
    nn.init.kaiming_normal_(conv.weight)  # there is no batch norm to make up for PyTorch's own, which are smaller
    return nn.Sequential(conv, nn.ELU())


def _doubling(channels: int) -> nn.ConvTranspose2d:
    """A transposed convolution that doubles H and W; as bilinear interpolation before it learns."""
    conv = nn.ConvTranspose2d(channels, channels, 4, 2, 1, bias=False)
    ramp = torch.tensor([0.25, 0.75, 0.75, 0.25])
    with torch.no_grad():
        conv.weight.copy_(torch.eye(channels)[:, :, None, None] * (ramp[:, None] * ramp))
    return conv


class Fire(nn.Module):
    """SqueezeNet's module: few channels, then many, half of them by 1x1 and half by 3x3 convolution."""

    def __init__(self, inp: int, squeezed: int, expanded: int) -> None:
        """Channels in, between, and of each half of the output."""
        super().__init__()
        self.squeeze = _conv_elu(inp, squeezed, 1)
        self.expand1 = _conv_elu(squeezed, expanded, 1)
        self.expand3 = _conv_elu(squeezed, expanded, 3)

    def forward(self, x: Tensor) -> Tensor:
        """N inp H W -> N 2*expanded H W."""
        x = self.squeeze(x)
        return torch.cat([self.expand1(x), self.expand3(x)], 1)


class ParallelDilated(nn.Module):
    """The sum of four 3x3 convolutions, each dilated more than the one before."""

    def __init__(self, inp: int, out: int) -> None:
        """Channels in and out."""
        super().__init__()
        self.convs = nn.ModuleList(_conv_elu(inp, out, 3, dilation) for dilation in _DILATIONS)

    def forward(self, x: Tensor) -> Tensor:
        """N inp H W -> N out H W."""
        return torch.stack([conv(x) for conv in self.convs]).sum(0)


class Refinement(nn.Module):
    """Class maps doubled by transposed convolution and refined by features of the encoder (after SharpMask)."""

    def __init__(self, num_classes: int, features: int) -> None:
        """K, and the channels of the encoder's features."""
        super().__init__()
        self.double_size = _doubling(num_classes)
        self.bypass = _conv_elu(features, _BYPASS, 3)
        self.mix = _conv_elu(num_classes + _BYPASS, num_classes, 3)

    def forward(self, maps: Tensor, features: Tensor) -> Tensor:
        """N K ceil(H/2) ceil(W/2) and N features H W -> N K H W."""
        height, width = features.shape[-2:]
        doubled = self.double_size(maps)[..., :height, :width]
        refined: Tensor = self.mix(torch.cat([self.bypass(features), doubled], 1))
        return refined


class SQ(nn.Module):
    """N 3 H W images -> N K H W logits, any H, W >= 32: full resolution is the network's own."""

    def __init__(self, num_classes: int) -> None:
        """Builds the network with random weights for K classes."""
        super().__init__()
        self.stem = _conv_elu(3, 64, 3)
        stages, channels = [], [64]
        for fires in _FIRES:
            stage: list[nn.Module] = [nn.MaxPool2d(2, ceil_mode=True)]
            inp = channels[-1]
            for squeezed, expanded in fires:
                stage.append(Fire(inp, squeezed, expanded))
                inp = 2 * expanded
            stages.append(nn.Sequential(*stage))
            channels.append(inp)
        self.stages = nn.ModuleList(stages)
        self.dropout = nn.Dropout(0.5)
        self.classify = ParallelDilated(channels.pop(), num_classes)
        self.refine = nn.ModuleList(Refinement(num_classes, features) for features in reversed(channels))

    def forward(self, images: Tensor) -> Tensor:
        """N 3 H W -> N K H W logits."""
        x = self.stem(images)
        features = []
        for stage in self.stages:
            features.append(x)
            x = stage(x)
        logits: Tensor = self.classify(self.dropout(x))
        for refine in self.refine:
            logits = refine(logits, features.pop())
        return logits
