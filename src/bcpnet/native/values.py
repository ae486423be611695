"""What the values of a graph are to the engine: the frames, maps, and what made them."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from bcpnet.native.sizes import Doubled, MapSize

Floats = npt.NDArray[np.float32]


class Kind(IntEnum):
    """Of activations, as in layers.h."""

    LINEAR, CLIP, HARD_SWISH, SWISH = range(4)


@dataclass(frozen=True)
class Activation:
    """`kind`, and the bounds of CLIP."""

    kind: Kind = Kind.LINEAR
    low: float = 0.0
    high: float = 0.0


NO_ACTIVATION = Activation()


@dataclass(frozen=True)
class Frame:
    """The frames on their way to the first convolution.

    Attributes:
        planes: whether they are N x 3 x H x W yet, not N x H x W x 3.
        floats: whether they are float32 yet, not uint8.
        mean: what was taken off them; None = nothing yet.
    """

    planes: bool = False
    floats: bool = False
    mean: float | None = None


@dataclass(eq=False)
class Value:
    """A map of the graph, N x channels x height x width float32: what made it from `inputs`.

    Attributes:
        made_by: "conv", "activation", "scale", "upsample", "pool", "mean", "sum", "gated" or "sigmoid".
        channels: of the map.
        size: height and width; None = one pixel, a mean or what was made of it.
        node: the name of the node in the file that made it.
        inputs: maps; of a convolution of the frames, none.
        weights, bias: of "conv", K x C x k x k and K.
        depthwise, stride: of "conv".
        frame_mean: of a convolution of the frames, what is taken off these first; None = of a map.
        factor: of "scale".
        mean_of: of one pixel, the map whose mean it comes from.
    """

    made_by: str
    channels: int
    size: MapSize | None
    node: str
    inputs: tuple[Value, ...] = ()
    weights: Floats = field(default_factory=lambda: np.empty((0, 0, 0, 0), np.float32))
    bias: Floats = field(default_factory=lambda: np.empty(0, np.float32))
    depthwise: bool = False
    stride: int = 1
    frame_mean: float | None = None
    activation: Activation = NO_ACTIVATION
    factor: float = 1.0
    mean_of: Value | None = None

    @property
    def pointwise(self) -> bool:
        """Whether this is a 1x1 convolution."""
        return self.made_by == "conv" and not self.depthwise and self.frame_mean is None

    @property
    def cut(self) -> bool:
        """Whether its size is a map's: not doubled and still to be cut, and no single pixel."""
        return self.size is not None and not any(isinstance(length, Doubled) for length in self.size)
