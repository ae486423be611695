"""BiSeNet (Yu, Wang, Peng, Gao, Yu, Sang 2018).

A spatial path keeps details at stride 8 (section 3.1), a context path goes down to stride 32 with a light encoder and
back up (section 3.2), and a module fuses both (section 3.3, Fig. 2). While training, two more classifiers read the
context path; their losses weigh as much as the main one (section 3.3). What the paper leaves out is as in the authors'
release, its speed models: widths, the 3x3 convolutions of the attention refinement and after each upsampling, the
classifiers, and the 1x1 convolution at the end of the spatial path. The release aligns corners where it resizes; we
resize as all of this package does.

Without auxiliary classifiers, with 19 classes, and what BCPNet's Table 1 prints:
- Xception-39: 1.54 M parameters (5.8 M), 15.6 GMAC at 768x1536 (14.8 G);
- ResNet-18: 12.9 M parameters (49 M), 58.3 GMAC (55.3 G).
The printed parameters fit the weights as floats in MiB: ours fill 5.88 and 49.2, and a count of the release's own
Xception-39 variant gave 1.54 M too (TorchSeg, issue 30). Why both MAC counts are 5.5 % above is unknown.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bcpnet.networks.encoders.resnet import ResNet
from bcpnet.networks.encoders.xception import Xception39
from bcpnet.networks.layers import conv_bn
from bcpnet.networks.resample import resize_to

_WIDTH = 128  # channels of each path


def _spatial_path() -> nn.Sequential:
    """Three convolutions of stride 2 and a 1x1: details at stride 8."""
    return nn.Sequential(
        conv_bn(3, 64, 7, stride=2, act=nn.ReLU),
        conv_bn(64, 64, 3, stride=2, act=nn.ReLU),
        conv_bn(64, 64, 3, stride=2, act=nn.ReLU),
        conv_bn(64, _WIDTH, act=nn.ReLU),
    )


def _classifier(inp: int, width: int, num_classes: int) -> nn.Sequential:
    return nn.Sequential(conv_bn(inp, width, 3, act=nn.ReLU), nn.Conv2d(width, num_classes, 1))


class AttentionRefinement(nn.Module):
    """Attention refinement module (Fig. 2b): every channel is scaled by what the whole image says about it."""

    def __init__(self, inp: int, out: int) -> None:
        """Channels in and out."""
        super().__init__()
        self.conv = conv_bn(inp, out, 3, act=nn.ReLU)
        self.gate = conv_bn(out, out, act=nn.Sigmoid)

    def forward(self, x: Tensor) -> Tensor:
        """N inp H W -> N out H W."""
        x = self.conv(x)
        gate: Tensor = self.gate(x.mean((2, 3), keepdim=True))
        return x * gate


class FeatureFusion(nn.Module):
    """Feature fusion module (Fig. 2c): both paths' channels mixed and normalised, then scaled by an attention."""

    def __init__(self, channels: int) -> None:
        """`channels` of both paths together."""
        super().__init__()
        self.mix = conv_bn(channels, channels, act=nn.ReLU)
        self.gate = nn.Sequential(
            nn.Conv2d(channels, channels, 1, bias=False),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 1, bias=False),
            nn.Sigmoid(),
        )

    def forward(self, spatial: Tensor, context: Tensor) -> Tensor:
        """Features of one size -> N channels H W."""
        x: Tensor = self.mix(torch.cat([spatial, context], 1))
        gate: Tensor = self.gate(x.mean((2, 3), keepdim=True))
        return x + x * gate


class BiSeNet(nn.Module):
    """N 3 H W images -> N K ceil(H/8) ceil(W/8) logits, any H, W >= 32; upsampling them is left to the caller."""

    def __init__(self, num_classes: int, encoder: Xception39 | ResNet) -> None:
        """Builds the network with random weights.

        Args:
            num_classes: K.
            encoder: its last two features, at strides 16 and 32, are used.
        """
        super().__init__()
        c16, c32 = encoder.channels[-2:]
        self.spatial_path = _spatial_path()
        self.encoder = encoder
        self.global_context = conv_bn(c32, _WIDTH, act=nn.ReLU)
        self.attention32 = AttentionRefinement(c32, _WIDTH)
        self.attention16 = AttentionRefinement(c16, _WIDTH)
        self.refine16 = conv_bn(_WIDTH, _WIDTH, 3, act=nn.ReLU)
        self.refine8 = conv_bn(_WIDTH, _WIDTH, 3, act=nn.ReLU)
        self.fusion = FeatureFusion(2 * _WIDTH)
        self.head = _classifier(2 * _WIDTH, 64, num_classes)
        self.auxiliary = nn.ModuleList(_classifier(_WIDTH, 128, num_classes) for _ in range(2))

    def forward(self, images: Tensor) -> Tensor:
        """N 3 H W -> N K ceil(H/8) ceil(W/8) logits."""
        logits, _, _ = self._logits_and_context(images)
        return logits

    def forward_with_auxiliary(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        """N 3 H W -> logits as `forward`, and those of the context path at strides 16 and 8 (section 3.3)."""
        logits, *context = self._logits_and_context(images)
        return logits, [head(feature) for head, feature in zip(self.auxiliary, context, strict=True)]

    def _logits_and_context(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The logits, and the context path on its way up, at strides 16 and 8."""
        spatial = self.spatial_path(images)
        *_, c16, c32 = self.encoder(images)
        x32 = self.attention32(c32) + self.global_context(c32.mean((2, 3), keepdim=True))
        up16 = self.refine16(resize_to(x32, c16))
        up8 = self.refine8(resize_to(self.attention16(c16) + up16, spatial))
        return self.head(self.fusion(spatial, up8)), up16, up8

    def fold_(self) -> None:
        """Drops the auxiliary classifiers, which inference does not use."""
        self.auxiliary = nn.ModuleList()


def bisenet1(num_classes: int) -> BiSeNet:
    """BiSeNet with Xception-39, the paper's fast one."""
    return BiSeNet(num_classes, Xception39())


def bisenet2(num_classes: int) -> BiSeNet:
    """BiSeNet with ResNet-18."""
    return BiSeNet(num_classes, ResNet(18))
