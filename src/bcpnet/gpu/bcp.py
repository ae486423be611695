"""The BCP module on the kernels: laterals that read the same feature in one launch, a node in one launch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import triton
from torch import Tensor, nn

from bcpnet.gpu.bcp_kernels import node_kernel, pool_kernel
from bcpnet.gpu.layers import Conv, block_of, pack, pixels_of, pointwise
from bcpnet.networks.bcpnet import BCP, Node
from bcpnet.networks.layers import FixedSum


class FusedBCP:
    """A folded BCP module, the head in its last node."""

    def __init__(self, bcp: BCP, dtype: torch.dtype, device: torch.device) -> None:
        """Packs the weights. Raises ValueError where pooling is not max 3x3."""
        pooling = bcp.context_pooling
        if not isinstance(pooling, nn.MaxPool2d) or pooling.kernel_size != 3:
            raise ValueError(f"no kernel for {pooling}")
        self._dtype, self._device = dtype, device
        # Those that read the same feature are one convolution with all their channels.
        self._laterals = {
            level: pack(_side_by_side([bcp.lateral[key] for key in keys]), dtype, device)
            for level, keys in (("2", ("2",)), ("3", ("3",)), ("4", ("4", "4up")), ("5", ("5", "5up", "6")))
            if keys[0] in bcp.lateral
        }
        self._down1 = {level: self._node(node, deeper=True) for level, node in bcp.down1.items()}
        self._up = {level: self._node(node, deeper=False) for level, node in bcp.up.items()}
        finest = min(bcp.down2)
        self._down2 = {
            level: self._node(node, deeper=True, is_last=level == finest) for level, node in bcp.down2.items()
        }

    def __call__(self, c2: Tensor, c3: Tensor, c4: Tensor, c5: Tensor) -> Tensor:
        """Features at strides 4, 8, 16, 32 -> N x K x H/8 x W/8 (or H/4 x W/4) float32 logits."""
        p3 = pointwise(c3, self._laterals["3"])
        p4, p4_up = pointwise(c4, self._laterals["4"]).chunk(2, 3)
        p5, p5_up, p6_unpooled = pointwise(c5, self._laterals["5"]).chunk(3, 3)
        p6 = _pool(p6_unpooled)
        p7 = _pool(p6)

        down1, up, down2 = self._down1, self._up, self._down2
        d6 = down1["6"](p6, p7)
        d5 = down1["5"](p5, d6)
        d4 = down1["4"](p4, d5)
        d3 = down1["3"](p3, d4)

        u4 = up["4"](p4_up, d3, d4)
        u5 = up["5"](p5_up, u4, d5)
        u6 = up["6"](p6, u5, d6)
        u7 = up["7"](p7, u6)

        e6 = down2["6"](u6, u7)
        e5 = down2["5"](u5, e6)
        e4 = down2["4"](u4, e5)
        e3 = down2["3"](d3, e4)
        return down2["2"](pointwise(c2, self._laterals["2"]), e3) if "2" in down2 else e3

    def _node(self, node: nn.Module, deeper: bool, is_last: bool = False) -> _FusedNode:
        assert isinstance(node, Node)
        assert isinstance(node.sum, FixedSum)
        return _FusedNode(
            node.sum.factors,
            pack(node.depthwise, self._dtype, self._device),
            pack(node.pointwise, self._dtype, self._device),
            deeper,
            is_last,
        )


@dataclass(frozen=True)
class _FusedNode:
    """Weighted sum, swish, depthwise 3x3, 1x1 convolution.

    Attributes:
        factors: of the sum: this level's feature, its first top-down node if it is one of three, the other level's.
        depthwise, pointwise: packed.
        deeper: whether the other level is the next deeper one, half the size; else the next shallower one.
        is_last: its results are logits: planes of float32.
    """

    factors: list[float]
    depthwise: Conv
    pointwise: Conv
    deeper: bool
    is_last: bool

    def __call__(self, level: Tensor, other: Tensor, earlier: Tensor | None = None) -> Tensor:
        """Sums `level`, `earlier` (of its size) and `other`, brought to that size."""
        count, height, width, channels = level.shape
        outputs = self.pointwise.outputs
        shape = (count, outputs, height, width) if self.is_last else (count, height, width, outputs)
        out = torch.empty(shape, dtype=torch.float32 if self.is_last else level.dtype, device=level.device)
        block = pixels_of(count * height * width, 32)
        second = level if earlier is None else earlier
        node_kernel[(triton.cdiv(height * width, block), count)](
            level, second, other, self.depthwise.weight, self.pointwise.weight, self.pointwise.bias, out,
            self.factors[0], self.factors[1], self.factors[-1],
            height, width, other.shape[1], other.shape[2], level.stride(2), second.stride(2), other.stride(2),
            C=channels, C_PADDED=len(self.depthwise.bias), OUT=outputs, OUT_PADDED=len(self.pointwise.bias),
            EARLIER=earlier is not None, DEEPER=self.deeper,
            PLANES=self.is_last, BLOCK=block,
        )  # fmt: skip
        return out


def _pool(x: Tensor) -> Tensor:
    """3x3 max pooling of stride 2."""
    count, height, width, channels = x.shape
    out = torch.empty((count, (height + 1) // 2, (width + 1) // 2, channels), dtype=x.dtype, device=x.device)
    pixels = out.shape[1] * out.shape[2]
    pool_kernel[(triton.cdiv(pixels, 16), count)](
        x, out, height, width, out.shape[1], out.shape[2], x.stride(2),
        C=channels, C_PADDED=block_of(channels, 1024), BLOCK=16,
    )  # fmt: skip
    return out


def _side_by_side(layers: list[nn.Module]) -> nn.Conv2d:
    """One 1x1 convolution that gives the outputs of all, one after the other."""
    convs = [layer for layer in layers if isinstance(layer, nn.Conv2d)]
    assert len(convs) == len(layers)
    merged = nn.Conv2d(convs[0].in_channels, sum(conv.out_channels for conv in convs), 1, bias=False)
    merged.weight = nn.Parameter(torch.cat([conv.weight for conv in convs]))
    merged.bias = nn.Parameter(torch.cat([conv.bias for conv in convs if conv.bias is not None]))
    return merged
