"""What a network costs: parameters and multiply-adds."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from bcpnet.networks import build


@dataclass(frozen=True)
class NetworkInfo:
    """Counts of one network.

    Attributes:
        network: its name.
        parameters: learnable numbers in all.
        parts: the same by top-level part.
        macs: multiply-adds of one image, convolutions and matrix products only, by size "HxW".
    """

    network: str
    parameters: int
    parts: dict[str, int]
    macs: dict[str, int]


def count_macs(network: nn.Module, size_hw: tuple[int, int]) -> int:
    """Multiply-adds of convolutions and matrix products for one image, by torch.utils.flop_counter (which counts two
    operations for each). Run on the meta device: nothing is computed.
    """
    training = network.training
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        network.eval()(torch.empty(1, 3, *size_hw, device="meta"))
    network.train(training)
    return counter.get_total_flops() // 2


def describe(name: str, num_classes: int, sizes_hw: list[tuple[int, int]], **options: object) -> NetworkInfo:
    """Builds network `name` without memory and counts it. Raises UsageError for an unknown name or option."""
    with torch.device("meta"):
        network = build(name, num_classes, **options)
    parts = {part: sum(p.numel() for p in child.parameters()) for part, child in network.named_children()}
    return NetworkInfo(
        network=name,
        parameters=sum(p.numel() for p in network.parameters()),
        parts=parts,
        macs={f"{h}x{w}": count_macs(network, (h, w)) for h, w in sizes_hw},
    )
