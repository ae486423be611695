"""DFANet: deep feature aggregation (Li, Xiong, Fan, Sun 2019, arXiv 1904.02216).

Three light Xceptions in a row (section 3.3). Each reads the previous one's output, four times upsampled, beside that
one's features of the same size (sub-network aggregation), and at its later stages the previous one's features of that
size (sub-stage aggregation). So the second works at half the resolution of the first, the third at a quarter. Each
ends with an attention from the whole image through a fully connected layer as wide as ImageNet has classes, 1000. The
decoder adds up the three backbones' first stages and, upsampled, their outputs. A and B differ in the widths (Table 1).

We know of no release by the authors. Widths, repeats and wiring are those that public reimplementations of the paper
agree on. Chosen here:
- The first of a block's separable convolutions has the stride. Reimplementations have it in the last, which makes
  4.07 GMAC of A. ReLU comes before each, as in the original Xception.
- A sigmoid ends the attention, as it does other channel attentions. Reimplementations have ReLU, which knows no bound.
- The decoder is 64 channels wide; reimplementations have 32 or 64.

Counts at 19 classes:
- A: 1,843,419 parameters (published 7.8 M) and 3.29 GMAC at 1024x1024 (published 3.4 G);
- B: 1,109,499 parameters (published 4.8 M) and 1.87 GMAC (published 2.1 G).

Table 1's widths do not give the published parameters, and which others the paper counted is unknown. As float32 our
weights take 7.4 and 4.4 MB, near the published figures if those are megabytes; whether they are is unknown. The
operations of B differ by 11 %: without the decoder we count 2.61 (A) and 1.30 GMAC (B), so the published figures leave
0.8 G to either decoder, and ours takes 0.68 and 0.57. What the paper's decoder does with the rest is unknown.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from bcpnet.networks.layers import BatchNorm2d, conv_bn
from bcpnet.networks.resample import resize_to

# Stages "enc2", "enc3" and "enc4": blocks in each, and channels out by backbone.
_BLOCKS = (4, 6, 4)
_XCEPTION_A = (48, 96, 192)
_XCEPTION_B = (32, 64, 128)
_STEM = 8
_IMAGENET_CLASSES = 1000
_DECODER = 64


class Features(NamedTuple):
    """What one backbone hands on: the three stages, and the last of them after the attention."""

    enc2: Tensor
    enc3: Tensor
    enc4: Tensor
    attended: Tensor


def _separable(inp: int, out: int, stride: int = 1) -> nn.Sequential:
    """ReLU, depthwise 3x3 and pointwise convolution with nothing between them, batch norm."""
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(inp, inp, 3, stride, 1, groups=inp, bias=False),
        nn.Conv2d(inp, out, 1, bias=False),
        BatchNorm2d(out),
    )


class XceptionBlock(nn.Module):
    """Three separable convolutions, a quarter of the output's channels inside, plus the input."""

    def __init__(self, inp: int, out: int, stride: int) -> None:
        """Channels in and out; the first convolution has the stride."""
        super().__init__()
        width = out // 4
        self.branch = nn.Sequential(_separable(inp, width, stride), _separable(width, width), _separable(width, out))
        self.shortcut = nn.Identity() if stride == 1 and inp == out else conv_bn(inp, out, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        """N inp H W -> N out ceil(H/stride) ceil(W/stride)."""
        y: Tensor = self.branch(x) + self.shortcut(x)
        return y


def _stage(inp: int, out: int, blocks: int) -> nn.Sequential:
    """Blocks of which the first has stride 2."""
    later = (XceptionBlock(out, out, 1) for _ in range(blocks - 1))
    return nn.Sequential(XceptionBlock(inp, out, 2), *later)


class FCAttention(nn.Module):
    """Scales each channel by what a classifier of the whole image says about it.

    Its two layers are linear with nothing between them, so `fold` merges them into one of C x C.
    """

    def __init__(self, channels: int) -> None:
        """`channels` C of the features."""
        super().__init__()
        self.gate = nn.Sequential(
            nn.Conv2d(channels, _IMAGENET_CLASSES, 1), *conv_bn(_IMAGENET_CLASSES, channels, act=nn.Sigmoid)
        )

    def forward(self, x: Tensor) -> Tensor:
        """N C H W -> N C H W."""
        gate: Tensor = self.gate(x.mean((2, 3), keepdim=True))
        return x * gate


class Backbone(nn.Module):
    """Modified Xception: three stages of stride 2 each and the attention."""

    def __init__(self, inp: int, widths: tuple[int, int, int], *, aggregates: bool) -> None:
        """Builds the backbone.

        Args:
            inp: channels in.
            widths: channels of the three stages.
            aggregates: whether the last two stages also read the previous backbone's features.
        """
        super().__init__()
        enc2, enc3, enc4 = widths
        self.enc2 = _stage(inp, enc2, _BLOCKS[0])
        self.enc3 = _stage(enc2 + (enc3 if aggregates else 0), enc3, _BLOCKS[1])
        self.enc4 = _stage(enc3 + (enc4 if aggregates else 0), enc4, _BLOCKS[2])
        self.attention = FCAttention(enc4)

    def forward(self, x: Tensor, previous: Features | None = None) -> Features:
        """N inp H W, and the features of the backbone that worked at twice the resolution -> features at H/2, H/4, H/8
        (rounded up).
        """
        enc2 = self.enc2(x)
        enc3 = self.enc3(enc2 if previous is None else torch.cat([enc2, previous.enc3], 1))
        enc4 = self.enc4(enc3 if previous is None else torch.cat([enc3, previous.enc4], 1))
        return Features(enc2, enc3, enc4, self.attention(enc4))


class Decoder(nn.Module):
    """Adds up the backbones' details and contexts, each reduced by a 1x1 convolution and upsampled, and classifies."""

    def __init__(self, widths: tuple[int, int, int], num_classes: int) -> None:
        """Channels of the backbones' stages, classes."""
        super().__init__()
        self.details = nn.ModuleList(conv_bn(widths[0], _DECODER, act=nn.ReLU) for _ in range(3))
        self.contexts = nn.ModuleList(conv_bn(widths[2], _DECODER, act=nn.ReLU) for _ in range(3))
        self.fuse = conv_bn(_DECODER, _DECODER, act=nn.ReLU)
        self.head = nn.Conv2d(_DECODER, num_classes, 1)

    def forward(self, first: Features, second: Features, third: Features) -> Tensor:
        """The backbones' features -> N K h w logits, as large as the first one's first stage."""
        backbones = (first, second, third)
        detail = [conv(each.enc2) for conv, each in zip(self.details, backbones, strict=True)]
        context = [conv(each.attended) for conv, each in zip(self.contexts, backbones, strict=True)]
        x = self.fuse(detail[0] + resize_to(detail[1], detail[0]) + resize_to(detail[2], detail[0]))
        for each in context:
            x = x + resize_to(each, x)
        logits: Tensor = self.head(x)
        return logits


class DFANet(nn.Module):
    """N 3 H W images -> N K ceil(H/4) ceil(W/4) logits, any H, W >= 32 (the paper then upsamples bilinearly)."""

    def __init__(self, num_classes: int, widths: tuple[int, int, int]) -> None:
        """Builds the network with random weights.

        Args:
            num_classes: K.
            widths: channels of the stages of every backbone.
        """
        super().__init__()
        self.stem = conv_bn(3, _STEM, 3, stride=2, act=nn.ReLU)
        aggregated = widths[2] + widths[0]
        self.backbone1 = Backbone(_STEM, widths, aggregates=False)
        self.backbone2 = Backbone(aggregated, widths, aggregates=True)
        self.backbone3 = Backbone(aggregated, widths, aggregates=True)
        self.decoder = Decoder(widths, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """N 3 H W -> N K ceil(H/4) ceil(W/4) logits."""
        first = self.backbone1(self.stem(images))
        second = self.backbone2(_sub_network_aggregation(first), first)
        third = self.backbone3(_sub_network_aggregation(second), second)
        logits: Tensor = self.decoder(first, second, third)
        return logits


def _sub_network_aggregation(previous: Features) -> Tensor:
    """What the next backbone reads: the previous one's output, upsampled, beside its first stage."""
    return torch.cat([resize_to(previous.attended, previous.enc2), previous.enc2], 1)


def dfanet_a(num_classes: int) -> DFANet:
    """DFANet with Xception A."""
    return DFANet(num_classes, _XCEPTION_A)


def dfanet_b(num_classes: int) -> DFANet:
    """DFANet with Xception B, two thirds as wide."""
    return DFANet(num_classes, _XCEPTION_B)
