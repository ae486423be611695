"""Figure 2: what it costs ResNet-50 and -101, without their last layer, to keep the resolution. Needs PyTorch."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor, nn

from bcpnet.benchmark.comparison import Contestant
from bcpnet.benchmark.networks import PreparedNetwork, take_statistics
from bcpnet.errors import InputError
from bcpnet.labels import ClassSet
from bcpnet.metadata import Metadata
from bcpnet.networks.encoders.resnet import ResNet
from bcpnet.networks.info import count_macs
from bcpnet.paper.measure import Effort, cell, scenes_of, timed, without_folder
from bcpnet.paper.results import RATES_SIZE, SAME, size_hw

# Two of them, small: a pass takes seconds at the highest rates.
_PREPARED_AT_HW = (90, 160)


class _Features(nn.Module):
    """The encoder's last features, which a mean over the channels makes one map, as if it were one class's logits."""

    def __init__(self, depth: int, rate: int) -> None:
        super().__init__()
        self.encoder = ResNet(depth, output_stride=rate)

    def forward(self, images: Tensor) -> Tensor:
        """N 3 H W -> N 1 ceil(H/rate) ceil(W/rate)."""
        features: Tensor = self.encoder(images)[-1]
        return features.mean(1, keepdim=True)


def count_rate(depth: int, rate: int) -> dict[str, Any]:
    """Multiply-adds alone."""
    with torch.device("meta"):
        network = ResNet(depth, output_stride=rate)
    return {"macs": count_macs(network, size_hw(RATES_SIZE))}


def measure_rate(depth: int, rate: int, effort: Effort) -> dict[str, Any]:
    """Multiply-adds, and milliseconds in ONNX Runtime."""
    counted = count_rate(depth, rate)
    metadata = Metadata(f"resnet{depth}", {}, ClassSet("mean", ("mean",), ((0, 0, 0),)), 360)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = _Features(depth, rate)
        take_statistics(network, scenes_of(_PREPARED_AT_HW)[:2])
    with TemporaryDirectory(prefix="bcpnet-") as folder:
        try:
            prepared = PreparedNetwork(network.eval(), metadata, Path(folder), f"resnet{depth}-{rate}")
            contestant = Contestant(metadata.network, prepared.weights(SAME), SAME)
            (row,) = timed([contestant], RATES_SIZE, effort, effort.budget_s)
        except InputError as error:
            return {**counted, "error": without_folder(str(error))}
    return {**counted, **cell(row)}
