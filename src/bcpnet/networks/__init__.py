"""Networks: images to logits. To add one: a file in zoo/ and a line in NETWORKS."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from bcpnet.errors import UsageError
from bcpnet.networks.bcpnet import BCPNet

NETWORKS: dict[str, Callable[..., nn.Module]] = {
    "bcpnet": BCPNet,
}


def build(name: str, num_classes: int, **options: Any) -> nn.Module:
    """Builds network `name` with random weights; it maps N 3 H W (H, W >= 32) to N num_classes h w logits.

    Raises:
        UsageError: unknown name or option, or a value that no network can be built with.
    """
    if name not in NETWORKS:
        raise UsageError(f"unknown network {name!r}: choose one of {', '.join(NETWORKS)}")
    try:
        return NETWORKS[name](num_classes, **options)
    except (TypeError, ValueError, RuntimeError) as error:  # PyTorch's own complaints, a negative width for one
        raise UsageError(f"network {name}: {error}") from error
