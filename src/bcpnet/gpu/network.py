"""Networks on the GPU, uint8 frames to float32 logits: BCPNet in some fifty fused kernels, others through PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bcpnet.gpu.bcp import FusedBCP
from bcpnet.gpu.layers import Conv, Gate, pack, pack_gate, pointwise, separable, stem
from bcpnet.networks.bcpnet import BCPNet
from bcpnet.networks.encoders.mobilenet_v2 import InvertedResidual as InvertedResidualV2
from bcpnet.networks.encoders.mobilenet_v3_small import InvertedResidual as InvertedResidualV3
from bcpnet.networks.fold import fold
from bcpnet.networks.frames import normalise

# N H W 3 uint8 RGB, without gaps -> N K h w float32 logits, both on the GPU.
GpuNetwork = Callable[[Tensor], Tensor]


def gpu_network(network: nn.Module, dtype: torch.dtype, device: torch.device) -> GpuNetwork:
    """The fastest form of a trained network: fused kernels where they fit, else PyTorch's own.

    Args:
        network: in evaluation mode, float32.
        dtype: of weights and feature maps: float16 or float32.
        device: a GPU.
    """
    try:
        return FusedBCPNet(network, dtype, device)
    except ValueError:
        return eager_network(network, dtype, device)


def eager_network(network: nn.Module, dtype: torch.dtype, device: torch.device) -> GpuNetwork:
    """The folded network run by PyTorch, channels last; arguments as of `gpu_network`."""
    module = fold(network).to(device, dtype)
    module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in its stubs

    def run(frames: Tensor) -> Tensor:
        logits: Tensor = module(normalise(frames.permute(0, 3, 1, 2)).to(dtype))
        return logits.float().contiguous()

    return run


class FusedBCPNet:
    """BCPNet on kernels that each compute a whole layer and what follows it, up to the next.

    At batch 1 the time of so small a network goes to launches: PyTorch needs several hundred for one image.
    """

    def __init__(self, network: nn.Module, dtype: torch.dtype, device: torch.device) -> None:
        """Folds and packs; arguments as of `gpu_network`. Raises ValueError for a network without kernels."""
        folded = fold(network)
        if not isinstance(folded, BCPNet) or folded.bcp is None:
            raise ValueError("kernels are for BCPNet with BCP")
        self._stem = pack(folded.encoder.stem, dtype, device)
        self._blocks = [_Block.of(block, dtype, device) for block in folded.encoder.blocks]
        self._bcp = FusedBCP(folded.bcp, dtype, device)

    def __call__(self, frames: Tensor) -> Tensor:
        """N H W 3 uint8 RGB, without gaps -> N K h w float32 logits, h x w as of the network."""
        x = stem(frames, self._stem)
        features = []  # the last map of each stride
        for block in self._blocks:
            if block.depthwise.stride > 1:
                features.append(x)
            x = block(x)
        return self._bcp(*[*features, x][-4:])


@dataclass(frozen=True)
class _Block:
    """An inverted residual of either encoder.

    Attributes:
        expand: None where the expansion is 1.
        depthwise, project: packed.
        gate: squeeze-excite, or None.
        shortcut: its convolution; True: the block's input itself; False: none.
    """

    expand: Conv | None
    depthwise: Conv
    project: Conv
    gate: Gate | None
    shortcut: Conv | bool

    @staticmethod
    def of(block: nn.Module, dtype: torch.dtype, device: torch.device) -> _Block:
        """Packs a folded block."""
        assert isinstance(block, InvertedResidualV2 | InvertedResidualV3)
        gate: Gate | None = None
        shortcut: Conv | bool
        if isinstance(block, InvertedResidualV2):
            shortcut = block.shortcut
        else:
            gate = None if isinstance(block.se, nn.Identity) else pack_gate(block.se.gate, device)
            shortcut = block.shortcut is not None
            if block.shortcut is not None and not isinstance(block.shortcut, nn.Identity):
                shortcut = pack(block.shortcut, dtype, device)
        return _Block(
            None if isinstance(block.expand, nn.Identity) else pack(block.expand, dtype, device),
            pack(block.depthwise, dtype, device),
            pack(block.project, dtype, device, most=128),
            gate,
            shortcut,
        )

    def __call__(self, x: Tensor) -> Tensor:
        """N H W C -> N ceil(H/stride) ceil(W/stride) C'."""
        shortcut = None
        if self.shortcut is not False:
            shortcut = x if self.shortcut is True else pointwise(x, self.shortcut)
        expanded = x if self.expand is None else pointwise(x, self.expand)
        return separable(expanded, self.depthwise, self.project, shortcut, self.gate)
