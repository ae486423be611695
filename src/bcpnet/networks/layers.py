"""The pieces networks are made of. Conv and batch norm stand side by side in `nn.Sequential`, so `fold` finds them."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class BatchNorm2d(nn.BatchNorm2d):
    """Batch norm that also trains on a single value per channel, with its running statistics.

    One value (batch 1 after global pooling, or a 32 x 32 crop at stride 32) has no variance; PyTorch's own raises.
    """

    def forward(self, x: Tensor) -> Tensor:
        """N C H W -> N C H W."""
        if self.training and x.shape[0] * x.shape[2] * x.shape[3] == 1:
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps)
        return super().forward(x)


def conv_bn(
    in_channels: int,
    out_channels: int,
    kernel: int = 1,
    stride: int = 1,
    groups: int = 1,
    act: Callable[[], nn.Module] | None = None,
    dilation: int = 1,
) -> nn.Sequential:
    """Convolution (no bias, padded to keep the size at stride 1), batch norm and, if given, an activation."""
    padding = dilation * (kernel // 2)
    layers: list[nn.Module] = [
        nn.Conv2d(in_channels, out_channels, kernel, stride, padding, dilation, groups=groups, bias=False),
        BatchNorm2d(out_channels),
    ]
    if act is not None:
        layers.append(act())
    return nn.Sequential(*layers)


class SqueezeExcite(nn.Module):
    """Channel attention (Hu et al. 2018) with batch norm after both layers and a hard sigmoid."""

    def __init__(self, channels: int, squeezed: int) -> None:
        """`squeezed` is the number of channels between the two layers."""
        super().__init__()
        self.gate = nn.Sequential(
            nn.Conv2d(channels, squeezed, 1, bias=False),
            BatchNorm2d(squeezed),
            nn.ReLU(inplace=True),
            nn.Conv2d(squeezed, channels, 1, bias=False),
            BatchNorm2d(channels),
            nn.Hardsigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """N C H W -> N C H W."""
        gate: Tensor = self.gate(x.mean((2, 3), keepdim=True))
        return x * gate


class WeightedSum(nn.Module):
    """BCPNet's Eq. 1 over any number of inputs: learnable scalars, kept positive and summing to (almost) one."""

    def __init__(self, inputs: int) -> None:
        """`inputs` is the number of feature maps summed."""
        super().__init__()
        self.weight = nn.Parameter(torch.ones(inputs))

    def factors(self) -> Tensor:
        """The scalars that the sum uses: relu(w) / (sum relu(w) + 1e-4)."""
        positive = F.relu(self.weight)
        return positive / (positive.sum() + 1e-4)

    def forward(self, *features: Tensor) -> Tensor:
        """Feature maps of one shape -> their weighted sum."""
        factors = self.factors()
        total = features[0] * factors[0]
        for index in range(1, len(features)):
            total = total + features[index] * factors[index]
        return total

    def folded(self) -> FixedSum:
        """The same sum with its factors as numbers, for inference."""
        return FixedSum(self.factors().tolist())


class FixedSum(nn.Module):
    """A weighted sum whose factors no longer learn."""

    def __init__(self, factors: list[float]) -> None:
        """One factor per input."""
        super().__init__()
        self.factors = factors

    def forward(self, *features: Tensor) -> Tensor:
        """Feature maps of one shape -> their weighted sum."""
        total = features[0] * self.factors[0]
        for feature, factor in zip(features[1:], self.factors[1:], strict=True):
            total = total + feature * factor
        return total


def upsample_to(x: Tensor, like: Tensor) -> Tensor:
    """Doubles H and W by repetition and cuts to the size of `like` (which stride 2 rounded up from).

    Pixel i then meets the deeper pixel i // 2 that was pooled from it, at odd sizes too.
    """
    height, width = like.shape[-2:]
    return F.interpolate(x, scale_factor=2.0, mode="nearest")[..., :height, :width]
