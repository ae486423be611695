"""ESPNetv2 for segmentation: pyramids of dilated depthwise convolutions (Mehta et al. 2019, arXiv 1811.11431).

The encoder is made of EESP units (section 3.2, Fig. 1c): a grouped 1x1 convolution reduces, four depthwise convolutions
of growing dilation look at the result side by side, each adds its predecessor's output to its own (hierarchical feature
fusion), and a grouped 1x1 convolution merges them. Where resolution halves, the average of the features stands beside
the unit's output, and the image itself, averaged down, is added (Fig. 2). It ends at stride 16.

The decoder is that of the authors' release (sacmehta/EdgeNets), whose weights fit: see `espnetv2_weights`. From stride
16 to stride 2 it alternates an efficient pyramid pooling (depthwise convolutions at five scales, merged) with
upsampling to the next finer encoder features, which are added. Corners are aligned where it resizes. The release ends
with another such upsampling, from stride 2 to the image. It is left to the caller, and bcpnet does not align corners
there: its class map lies up to half a pixel of the image beside the release's, most at the border.

Counts at 19 classes: 788,751 parameters at scale 2.0 and 467,999 at 1.5. The release has 491 and 363 more: a 20th logit
(background) and activations that it never uses. 2.70 GMAC at 512x1024 and scale 2.0, as published (2,699 M).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bcpnet.frames.preprocess import MEAN, SCALE
from bcpnet.networks.layers import BatchNorm2d, conv_bn

# Channels at strides 2, 4, 8 and 16 by scale.
_WIDTHS = {
    0.5: (16, 32, 64, 128),
    1.0: (32, 64, 128, 256),
    1.25: (32, 80, 160, 320),
    1.5: (32, 96, 192, 384),
    2.0: (32, 128, 256, 512),
}
_DILATIONS = (1, 2, 3, 4)
_DILATIONS_STRIDE16 = (1, 1, 2, 3)  # a receptive field of 7 at most
_DECODER = (64, 48, 32)  # channels of the decoder at strides 16, 8 and 4
_PYRAMID = 10  # channels within a pyramid pooling; the release takes half as many as its 20 or 21 classes
_SMALLEST = 5  # rows and columns of a pyramid's level
# A pyramid's levels: numerator and denominator of the scale, and the most rows or columns in one of its averages.
LEVELS = ((2, 1, 3), (3, 2, 3), (1, 1, 1), (1, 2, 3), (1, 10, 11))
# What the release reads: RGB 0..1, less this mean, by this standard deviation.
_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)


def _conv_bn_prelu(inp: int, out: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """`conv_bn` and an activation with one slope per channel."""
    return conv_bn(inp, out, kernel, stride, groups, act=lambda: nn.PReLU(out))


class NormAct(nn.Sequential):
    """Batch norm and PReLU where no convolution stands before them."""

    def __init__(self, channels: int) -> None:
        """`channels` of the features."""
        super().__init__(BatchNorm2d(channels), nn.PReLU(channels))

    def fold_(self) -> None:
        """Puts an identity convolution in front of the batch norm, for `fold` to merge with it."""
        norm = self[0]
        assert isinstance(norm, BatchNorm2d)
        identity = nn.Conv2d(norm.num_features, norm.num_features, 1, groups=norm.num_features, bias=False)
        identity.weight = nn.Parameter(torch.ones_like(norm.weight)[:, None, None, None])
        self.insert(0, identity)


class EESP(nn.Module):
    """Extremely efficient spatial pyramid (section 3.2): reduce, four dilated depthwise convolutions, merge."""

    def __init__(self, inp: int, out: int, stride: int, dilations: tuple[int, ...]) -> None:
        """Channels in and out (both multiples of four); one dilation per branch."""
        super().__init__()
        n = len(dilations)
        width = out // n
        self.reduce = _conv_bn_prelu(inp, width, groups=n)
        self.branches = nn.ModuleList(
            nn.Conv2d(width, width, 3, stride, dilation, dilation, groups=width, bias=False) for dilation in dilations
        )
        self.norm = NormAct(out)
        self.merge = conv_bn(out, out, groups=n)

    def forward(self, x: Tensor) -> Tensor:
        """N inp H W -> N out ceil(H/stride) ceil(W/stride)."""
        x = self.reduce(x)
        fused = [self.branches[0](x)]
        for branch in self.branches[1:]:
            fused.append(branch(x) + fused[-1])
        y: Tensor = self.merge(self.norm(torch.cat(fused, 1)))
        return y


class EESPBlock(nn.Module):
    """An EESP unit plus its input, then the activation."""

    def __init__(self, channels: int, dilations: tuple[int, ...]) -> None:
        """Channels in and out; one dilation per branch."""
        super().__init__()
        self.eesp = EESP(channels, channels, 1, dilations)
        self.act = nn.PReLU(channels)

    def forward(self, x: Tensor) -> Tensor:
        """N channels H W -> N channels H W."""
        y: Tensor = self.act(self.eesp(x) + x)
        return y


class DownSampler(nn.Module):
    """Halves the resolution: averages beside an EESP unit of stride 2, plus the image (Fig. 2)."""

    def __init__(self, inp: int, out: int) -> None:
        """Channels in and out; the unit makes `out - inp` of them."""
        super().__init__()
        self.eesp = EESP(inp, out - inp, 2, _DILATIONS)
        self.reinforce = nn.Sequential(_conv_bn_prelu(3, 3, 3), conv_bn(3, out))
        self.act = nn.PReLU(out)

    def forward(self, x: Tensor, image: Tensor) -> Tensor:
        """N inp H W, and the image of the size to come -> N out ceil(H/2) ceil(W/2)."""
        y: Tensor = self.act(torch.cat([_halved(x), self.eesp(x)], 1) + self.reinforce(image))
        return y


class PyramidPooling(nn.Module):
    """Efficient pyramid pooling: depthwise convolutions at five scales, brought back to one size and merged."""

    def __init__(self, inp: int, width: int, last: nn.Sequential) -> None:
        """Channels in and within; `last` reads `width` channels and makes the output."""
        super().__init__()
        n = len(LEVELS)
        self.project = _conv_bn_prelu(inp, width)
        self.levels = nn.ModuleList(
            nn.Sequential(nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False)) for _ in LEVELS
        )
        # A channel's five levels lie side by side.
        self.norm: nn.Sequential = NormAct(n * width)
        self.merge = _conv_bn_prelu(n * width, width, 3, groups=width)
        self.last = last

    def forward(self, x: Tensor) -> Tensor:
        """N inp H W -> N out H W."""
        x = self.project(x)
        height, width = x.shape[-2:]
        found = []
        for level, (numerator, denominator, most) in zip(self.levels, LEVELS, strict=True):
            rows, columns = (_level_side(side, numerator, denominator) for side in (height, width))
            if numerator < denominator:
                found.append(_resized(level(_averaged(x, rows, columns, most)), height, width))
            elif numerator > denominator:
                found.append(_averaged(level(_resized(x, rows, columns)), height, width, most))
            else:
                found.append(level(x))
        y: Tensor = self.last(self.merge(self.norm(torch.stack(found, 2).flatten(1, 2))))
        return y

    def fold_(self) -> None:
        """Hands each level its part of the batch norm, for `fold` to merge with its convolution.

        Resizing and averaging lie between the two, but a pixel of theirs is a mean of pixels of the same channel.
        """
        norm, act, n = self.norm[0], self.norm[1], len(LEVELS)
        assert isinstance(norm, BatchNorm2d)
        for index, level in enumerate(self.levels):
            part = BatchNorm2d(norm.num_features // n, norm.eps)
            part.load_state_dict(
                {key: value[index::n] if value.ndim else value for key, value in norm.state_dict().items()}
            )
            assert isinstance(level, nn.Sequential)
            level.append(part.to(norm.weight).eval())
        self.norm = nn.Sequential(act)


class Skip(nn.Module):
    """Encoder features for the decoder: convolved, each channel scaled by what the whole image says about it."""

    def __init__(self, inp: int, out: int) -> None:
        """Channels in and out."""
        super().__init__()
        self.conv = _conv_bn_prelu(inp, out, 3, groups=math.gcd(inp, out))
        self.gate = nn.Sequential(nn.Conv2d(inp, out, 1, bias=False), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        """N inp H W -> N out H W."""
        gate: Tensor = self.gate(x.mean((2, 3), keepdim=True))
        y: Tensor = self.conv(x) * gate
        return y


class ESPNetv2(nn.Module):
    """N 3 H W images -> N K ceil(H/2) ceil(W/2) logits, any H, W >= 32; upsampling them is left to the caller."""

    gain: Tensor
    offset: Tensor

    def __init__(self, num_classes: int, *, scale: float = 2.0) -> None:
        """Builds the network with random weights.

        Args:
            num_classes: K.
            scale: of the encoder's widths: 0.5, 1.0, 1.25, 1.5 or 2.0.

        Raises:
            ValueError: another scale.
        """
        super().__init__()
        if scale not in _WIDTHS:
            raise ValueError(f"scale {scale!r}: choose one of {', '.join(map(str, _WIDTHS))}")
        c2, c4, c8, c16 = _WIDTHS[scale]
        # From bcpnet's input to the release's. Neither learnt nor saved.
        mean, std = (torch.tensor(values)[:, None, None] for values in (_MEAN, _STD))
        self.register_buffer("gain", 1 / (255 * SCALE * std), persistent=False)
        self.register_buffer("offset", (MEAN / 255 - mean) / std, persistent=False)
        self.stem = _conv_bn_prelu(3, c2, 3, 2)
        self.down4 = DownSampler(c2, c4)
        self.down8 = DownSampler(c4, c8)
        self.blocks8 = nn.Sequential(*(EESPBlock(c8, _DILATIONS) for _ in range(3)))
        self.down16 = DownSampler(c8, c16)
        self.blocks16 = nn.Sequential(*(EESPBlock(c16, _DILATIONS_STRIDE16) for _ in range(7)))
        d16, d8, d4 = _DECODER
        self.pyramid16 = PyramidPooling(c16, _PYRAMID, _conv_bn_prelu(_PYRAMID, d16))
        self.pyramid8 = PyramidPooling(d16, _PYRAMID, _conv_bn_prelu(_PYRAMID, d8))
        self.pyramid4 = PyramidPooling(d8, _PYRAMID, _conv_bn_prelu(_PYRAMID, d4))
        self.pyramid2 = PyramidPooling(d4, _PYRAMID, nn.Sequential(nn.Conv2d(_PYRAMID, num_classes, 1)))
        self.skip8, self.skip4, self.skip2 = Skip(c8, d16), Skip(c4, d8), Skip(c2, d4)
        self.norm8, self.norm4, self.norm2 = NormAct(d16), NormAct(d8), NormAct(d4)

    def forward(self, images: Tensor) -> Tensor:
        """N 3 H W -> N K ceil(H/2) ceil(W/2) logits."""
        images = images * self.gain + self.offset
        image4 = _halved(_halved(images))
        image8 = _halved(image4)
        x2 = self.stem(images)
        x4 = self.down4(x2, image4)
        x8 = self.blocks8(self.down8(x4, image8))
        x16 = self.blocks16(self.down16(x8, _halved(image8)))
        x = self.pyramid16(x16)
        x = self.pyramid8(self.norm8(_added(x, self.skip8(x8))))
        x = self.pyramid4(self.norm4(_added(x, self.skip4(x4))))
        logits: Tensor = self.pyramid2(self.norm2(_added(x, self.skip2(x2))))
        return logits


def _added(coarse: Tensor, fine: Tensor) -> Tensor:
    """Features of half the size, upsampled, plus the fine ones."""
    return _resized(coarse, *fine.shape[-2:]) + fine


def _level_side(side: int, numerator: int, denominator: int) -> int:
    """A side of a pyramid's level, rounded up; `max` would fix the side when exporting."""
    scaled = (side * numerator + denominator - 1) // denominator
    larger: int = torch.sym_max(scaled, _SMALLEST)  # type: ignore[no-untyped-call]
    return larger


def _halved(x: Tensor) -> Tensor:
    """N C H W -> N C ceil(H/2) ceil(W/2): averages of 3x3 pixels, zeros beyond the border."""
    return F.avg_pool2d(x, 3, 2, 1)


def _resized(x: Tensor, height: int, width: int) -> Tensor:
    """N C h w -> N C height width, bilinear with aligned corners."""
    return F.interpolate(x, size=(height, width), mode="bilinear", align_corners=True)


def _averaged(x: Tensor, rows: int, columns: int, most: int) -> Tensor:
    """N C H W -> N C rows columns: `F.adaptive_avg_pool2d`, which does not export with H and W free.

    Each average takes `most` rows and columns or fewer. So few are gathered and added: `adaptive_average_pool`'s matrix
    products would cost more than the rest of the network.
    """
    for axis, bins in ((2, rows), (3, columns)):
        size = x.shape[axis]
        bin_index = torch.arange(bins, device=x.device)[:, None]
        first, end = bin_index * size // bins, ((bin_index + 1) * size + bins - 1) // bins
        pixel = first + torch.arange(most, device=x.device)
        weight = (pixel < end).to(x.dtype) / (end - first).to(x.dtype)
        taken = torch.unflatten(x.index_select(axis, pixel.clamp(max=size - 1).flatten()), axis, (bins, most))
        x = (taken * (weight[..., None] if axis == 2 else weight)).sum(axis + 1)
    return x
