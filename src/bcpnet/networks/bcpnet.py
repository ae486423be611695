"""BCPNet: Bi-direction Context Propagation Network (Hao, Zhou, Guo 2020, arXiv 2005.11034).

An image goes through an encoder to stride 32, is pooled on to 1/64 and 1/128 (levels 6 and 7), and the context
gathered there walks down to level 3, up to level 7 and down again (the BCP module, Fig. 3b). Level 3 (stride 8)
is classified; ours may go on to level 2, for what is thin. Level l has stride 2**l.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from bcpnet.errors import UsageError
from bcpnet.networks.encoders import ENCODERS
from bcpnet.networks.layers import BatchNorm2d, FixedSum, WeightedSum, upsample_to

Pooling = Literal["max3", "avg3", "max5"]
Finest = Literal[2, 3]


def _batch_norm(channels: int) -> BatchNorm2d:
    return BatchNorm2d(channels, eps=1e-3, momentum=0.01)


def _lateral(in_channels: int, width: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(in_channels, width, 1), _batch_norm(width))


def _context_pooling(kind: Pooling) -> nn.Module:
    """Halves the resolution: the three kinds of the paper's Table 5."""
    if kind == "max3":
        return nn.MaxPool2d(3, 2, 1)
    if kind == "avg3":
        return nn.AvgPool2d(3, 2, 1, count_include_pad=False)
    if kind == "max5":
        return nn.MaxPool2d(5, 2, 2)
    raise UsageError(f"unknown context pooling {kind!r}: choose max3, avg3 or max5")


class Node(nn.Module):
    """One step of a path: weighted sum, swish, separable convolution, batch norm."""

    sum: WeightedSum | FixedSum

    def __init__(self, inputs: int, width: int, out: int | None = None) -> None:
        """`inputs` feature maps of `width` channels to one of `out` (by default as many)."""
        super().__init__()
        self.sum = WeightedSum(inputs)
        self.act = nn.SiLU()
        self.depthwise = nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False)
        self.pointwise = _lateral(width, width if out is None else out)

    def forward(self, *features: Tensor) -> Tensor:
        """Feature maps of one shape -> one of that height and width."""
        x: Tensor = self.pointwise(self.depthwise(self.act(self.sum(*features))))
        return x


class BCP(nn.Module):
    """Bi-direction context propagation: top-down 6-3, bottom-up 4-7, top-down 6-3 (twelve nodes) or 6-2 (thirteen)."""

    def __init__(
        self,
        channels: tuple[int, int, int, int],
        lifted: tuple[int, int, int] | None,
        width: int,
        pooling: Pooling,
        finest: Finest,
        finest_width: int,
    ) -> None:
        """Builds the module.

        Args:
            channels: of the encoder's features at strides 4, 8, 16, 32.
            lifted: channels that 1x1 convolutions raise the last three to first (the authors' release does); None
                leaves them.
            width: channels inside the module.
            pooling: how levels 6 and 7 are pooled from level 5.
            finest: the level that the last path ends on.
            finest_width: channels on level 2, which has four times the pixels of level 3, if the path ends there.
        """
        super().__init__()
        c2, *deeper = channels
        self.lift = nn.ModuleDict()
        if lifted is not None:
            for level, inp, out in zip("345", deeper, lifted, strict=True):
                self.lift[level] = nn.Conv2d(inp, out, 1)
        c3, c4, c5 = deeper if lifted is None else lifted
        # Keys: the level, and for the bottom-up path's own laterals of levels 4 and 5, the level and "up".
        self.lateral = nn.ModuleDict(
            {
                "3": _lateral(c3, width),
                "4": _lateral(c4, width),
                "4up": _lateral(c4, width),
                "5": _lateral(c5, width),
                "5up": _lateral(c5, width),
                "6": _lateral(c5, width),
            }
        )
        self.context_pooling = _context_pooling(pooling)
        self.pool = nn.MaxPool2d(3, 2, 1)
        self.down1 = nn.ModuleDict({level: Node(2, width) for level in "6543"})
        self.up = nn.ModuleDict({level: Node(2 if level == "7" else 3, width) for level in "4567"})
        self.down2 = nn.ModuleDict({level: Node(2, width) for level in "6543"})
        self.width_out = width
        if finest == 2:
            self.width_out = finest_width
            self.lateral["2"] = _lateral(c2, self.width_out)
            self.down2["3"] = Node(2, width, self.width_out)
            self.down2["2"] = Node(2, self.width_out)

    def forward(self, c2: Tensor, c3: Tensor, c4: Tensor, c5: Tensor) -> Tensor:
        """Features at strides 4, 8, 16, 32 -> N width_out H/8 W/8, or H/4 W/4."""
        if self.lift:
            c3, c4, c5 = self.lift["3"](c3), self.lift["4"](c4), self.lift["5"](c5)
        p3, p4, p5 = self.lateral["3"](c3), self.lateral["4"](c4), self.lateral["5"](c5)
        p6 = self.context_pooling(self.lateral["6"](c5))
        p7 = self.context_pooling(p6)

        d6 = self.down1["6"](p6, upsample_to(p7, p6))
        d5 = self.down1["5"](p5, upsample_to(d6, p5))
        d4 = self.down1["4"](p4, upsample_to(d5, p4))
        d3 = self.down1["3"](p3, upsample_to(d4, p3))

        u4 = self.up["4"](self.lateral["4up"](c4), d4, self.pool(d3))
        u5 = self.up["5"](self.lateral["5up"](c5), d5, self.pool(u4))
        u6 = self.up["6"](p6, d6, self.pool(u5))
        u7 = self.up["7"](p7, self.pool(u6))

        e6 = self.down2["6"](u6, upsample_to(u7, u6))
        e5 = self.down2["5"](u5, upsample_to(e6, u5))
        e4 = self.down2["4"](u4, upsample_to(e5, u4))
        e3: Tensor = self.down2["3"](d3, upsample_to(e4, d3))
        if "2" not in self.down2:
            return e3
        p2 = self.lateral["2"](c2)
        e2: Tensor = self.down2["2"](p2, upsample_to(e3, p2))
        return e2

    def fold_(self) -> None:
        """Puts each lift in front of the laterals that read it, where `fold` merges the two linear layers."""
        for key, lateral in self.lateral.items():
            level = "5" if key == "6" else key[0]
            if level in self.lift:
                assert isinstance(lateral, nn.Sequential)
                self.lateral[key] = nn.Sequential(self.lift[level], *lateral)
        self.lift = nn.ModuleDict()


class BCPNet(nn.Module):
    """The paper's network: 607,826 parameters with the V3 encoder, 19 classes and its defaults.

    N 3 H W images -> N K ceil(H/8) ceil(W/8) logits (stride 4 with finest=2, 32 without BCP), any H, W >= 32.
    """

    def __init__(
        self,
        num_classes: int,
        *,
        encoder: str = "mobilenet_v3_small",
        bcp: bool = True,
        pooling: Pooling = "max3",
        width: int = 64,
        finest: Finest = 3,
        finest_width: int = 32,
    ) -> None:
        """Builds the network with random weights.

        Args:
            num_classes: K.
            encoder: a name in `bcpnet.networks.encoders.ENCODERS`.
            bcp: False classifies the encoder's last features instead (the paper's Table 5, row 1).
            pooling: context pooling, the paper's Table 5: 3x3 max, 3x3 average or 5x5 max.
            width: channels inside BCP.
            finest: the level that is classified: 3 as in the paper, or 2 (stride 4), one node more.
            finest_width: channels of that node.

        Raises:
            UsageError: unknown encoder, pooling or finest level; a width below 1.
        """
        super().__init__()
        if min(width, finest_width) < 1:
            raise UsageError(f"width {width}, finest width {finest_width}: need at least 1")
        if finest not in (2, 3):
            raise UsageError(f"finest level {finest!r}: choose 2 or 3")
        if encoder not in ENCODERS:
            raise UsageError(f"unknown encoder {encoder!r}: choose one of {', '.join(ENCODERS)}")
        self.encoder = ENCODERS[encoder]()
        self.bcp: BCP | None = None
        channels = self.encoder.channels
        features = channels[-1]
        if bcp:
            self.bcp = BCP(channels, self.encoder.lifted, width, pooling, finest, finest_width)
            features = self.bcp.width_out
        self.head: nn.Module = nn.Conv2d(features, num_classes, 1)

    def forward(self, images: Tensor) -> Tensor:
        """N 3 H W -> N K h w logits."""
        features = self.encoder(images)
        logits: Tensor = self.head(features[-1] if self.bcp is None else self.bcp(*features))
        return logits

    def fold_(self) -> None:
        """Puts the head behind the last node's 1x1 convolution, where `fold` merges the two linear layers."""
        if self.bcp is not None:
            last = list(self.bcp.down2.values())[-1]
            assert isinstance(last, Node)
            last.pointwise = nn.Sequential(*last.pointwise, self.head)
            self.head = nn.Identity()
