"""Networks that take frames as they come: uint8, channels last. What the exported file and the PyTorch backend run."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bcpnet.frames.preprocess import MEAN, SCALE


def normalise(images: Tensor) -> Tensor:
    """N 3 H W uint8 -> float32 network input, channels last in memory (what convolutions on CPUs and GPUs prefer)."""
    return images.to(torch.float32, memory_format=torch.channels_last).sub_(MEAN).mul_(SCALE)


class FrameNetwork(nn.Module):
    """A network behind its normalisation."""

    def __init__(self, network: nn.Module) -> None:
        """`network` maps N 3 H W float32 to N K h w logits."""
        super().__init__()
        self.network = network

    def forward(self, frames: Tensor) -> Tensor:
        """N H W 3 uint8 RGB -> N K h w logits."""
        logits: Tensor = self.network(normalise(frames.permute(0, 3, 1, 2)))
        return logits
