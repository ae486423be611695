"""FCN-8s (Long, Shelhamer, Darrell 2015, CVPR; arXiv 1411.4038) on VGG-16.

VGG-16's classifier turned into convolutions (section 3.1): fc6, 7x7, and fc7, 1x1, 4096 channels each. Scores at stride
32 are doubled in size and added to scores of the fourth pooling, these doubled and added to scores of the third
(section 4.2, Fig. 3). Both doublings are transposed convolutions that start as bilinear interpolation and are learned.

Padding keeps sizes here. The authors pad the image by 100 pixels, let fc6 shrink the map, and crop the scores.

Ours at 19 classes: 134.4 M parameters (the paper's Table 1: 134 M), 221.7 GMAC at 512x1024, 160.4 of them in VGG-16's
own convolutions. The published 136.2 G are less than those alone; how they were counted is unknown.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bcpnet.networks.encoders.vgg import VGG16


def _fully_connected(inp: int, out: int, kernel: int) -> nn.Sequential:
    """A layer of VGG-16's classifier as convolution."""
    conv = nn.Conv2d(inp, out, kernel, padding=kernel // 2)
    nn.init.kaiming_normal_(conv.weight)  # as in `VGG16`
    return nn.Sequential(conv, nn.ReLU(), nn.Dropout(0.5))


def _doubling(channels: int) -> nn.ConvTranspose2d:
    """Twice the size: each channel by itself and bilinear to begin with, then learned."""
    conv = nn.ConvTranspose2d(channels, channels, 4, 2, padding=1, bias=False)
    tent = torch.tensor([0.25, 0.75, 0.75, 0.25])
    with torch.no_grad():
        conv.weight.copy_(torch.eye(channels)[:, :, None, None] * torch.outer(tent, tent))
    return conv


class FCN8s(nn.Module):
    """N 3 H W images -> N K ceil(H/8) ceil(W/8) logits, any H, W >= 32.

    The last step of the paper, upsampling by eight with a fixed bilinear kernel, is left to the caller.
    """

    def __init__(self, num_classes: int) -> None:
        """Builds the network with random weights for K = `num_classes`."""
        super().__init__()
        self.encoder = VGG16()
        _, _, c8, c16, c32 = self.encoder.channels
        self.fc6 = _fully_connected(c32, 4096, 7)
        self.fc7 = _fully_connected(4096, 4096, 1)
        self.score32 = nn.Conv2d(4096, num_classes, 1)
        self.score16 = nn.Conv2d(c16, num_classes, 1)
        self.score8 = nn.Conv2d(c8, num_classes, 1)
        self.double32 = _doubling(num_classes)
        self.double16 = _doubling(num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """N 3 H W -> N K ceil(H/8) ceil(W/8) logits."""
        _, _, pool3, pool4, pool5 = self.encoder(images)
        y32 = self.score32(self.fc7(self.fc6(pool5)))
        y16 = _add(self.double32(y32), self.score16(pool4))
        return _add(self.double16(y16), self.score8(pool3))


def _add(doubled: Tensor, scores: Tensor) -> Tensor:
    """The sum at the size of `scores`, which pooling may have rounded up from."""
    height, width = scores.shape[-2:]
    return doubled[..., :height, :width] + scores
