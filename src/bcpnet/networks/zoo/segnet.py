"""SegNet (Badrinarayanan, Kendall, Cipolla 2017, IEEE TPAMI 39(12); arXiv 1511.00561).

The 13 convolutions of VGG-16, each with batch norm, as encoder; a decoder that mirrors them (section 3, Fig. 2). Every
pooling remembers where its maxima lay; the decoder puts its values back there and leaves zeros elsewhere, for its
convolutions to fill (Fig. 3). The last of its 13 convolutions is the classifier. Widths, ReLU after every other
convolution, and the classifier's 3x3 kernel are those of the authors' release.

Ours at 19 classes: 29.45 M parameters, 143.3 GMAC at 360x640. The published 286 G are operations, two to a
multiply-add; ours then are 286.7 G.
"""

from __future__ import annotations

from torch import Tensor, nn

from bcpnet.networks.encoders.vgg import VGG16
from bcpnet.networks.layers import conv_bn
from bcpnet.networks.unpool import max_pool, max_unpool

# Channels out of every convolution of the decoder, stage by stage, without the classifier.
_DECODER = ((512, 512, 512), (512, 512, 256), (256, 256, 128), (128, 64), (64,))


class SegNet(nn.Module):
    """N 3 H W images -> N K H W logits, any H, W >= 32."""

    def __init__(self, num_classes: int) -> None:
        """Builds the network with random weights for K = `num_classes`."""
        super().__init__()
        self.encoder = VGG16(batch_norm=True)
        stages = []
        inp = self.encoder.channels[-1]
        for widths in _DECODER:
            convs = []
            for out in widths:
                convs.append(conv_bn(inp, out, 3, act=nn.ReLU))
                inp = out
            stages.append(nn.Sequential(*convs))
        self.decoder = nn.ModuleList(stages)
        self.head = nn.Conv2d(inp, num_classes, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        """N 3 H W -> N K H W logits."""
        x = images
        poolings = []
        for stage in self.encoder.stages:
            x = stage(x)
            height, width = x.shape[-2:]
            x, place = max_pool(x)
            poolings.append((place, (height, width)))
        for stage, (place, size_hw) in zip(self.decoder, reversed(poolings), strict=True):
            x = stage(max_unpool(x, place, size_hw))
        logits: Tensor = self.head(x)
        return logits
