"""Networks: images to logits. To add one: a file in zoo/ and a line in NETWORKS."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from bcpnet.errors import UsageError
from bcpnet.networks.bcpnet import BCPNet
from bcpnet.networks.zoo.bisenet import bisenet1, bisenet2
from bcpnet.networks.zoo.deeplab import DeepLab
from bcpnet.networks.zoo.dfanet import dfanet_a, dfanet_b
from bcpnet.networks.zoo.edanet import EDANet
from bcpnet.networks.zoo.enet import ENet
from bcpnet.networks.zoo.espnetv2 import ESPNetv2
from bcpnet.networks.zoo.fcn8s import FCN8s
from bcpnet.networks.zoo.frrn import frrn_a, frrn_b
from bcpnet.networks.zoo.icnet import ICNet
from bcpnet.networks.zoo.pspnet import PSPNet
from bcpnet.networks.zoo.segnet import SegNet
from bcpnet.networks.zoo.sq import SQ
from bcpnet.networks.zoo.two_column import TwoColumn

NETWORKS: dict[str, Callable[..., nn.Module]] = {
    "bcpnet": BCPNet,
    "bisenet1": bisenet1,
    "bisenet2": bisenet2,
    "deeplab": DeepLab,
    "dfanet_a": dfanet_a,
    "dfanet_b": dfanet_b,
    "edanet": EDANet,
    "enet": ENet,
    "espnetv2": ESPNetv2,
    "fcn8s": FCN8s,
    "frrn_a": frrn_a,
    "frrn_b": frrn_b,
    "icnet": ICNet,
    "pspnet": PSPNet,
    "segnet": SegNet,
    "sq": SQ,
    "two_column": TwoColumn,
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
    except (TypeError, ValueError, RuntimeError) as error:  # PyTorch's own complaints
        raise UsageError(f"network {name}: {error}") from error
