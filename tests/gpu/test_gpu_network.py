"""The network as fused kernels computes what PyTorch does."""

from __future__ import annotations

from typing import Any

import pytest
from random_networks import random_frames, random_network
from torch import nn
from triton_here import DEVICE, torch

import bcpnet.gpu.layers
from bcpnet.gpu.network import FusedBCPNet, eager_network, gpu_network

CPU = torch.device("cpu")


def _error(logits: Any, expected: Any) -> float:
    assert logits.shape == expected.shape
    assert logits.dtype == torch.float32
    return float((logits.cpu() - expected).abs().max() / expected.abs().max())


# Odd sides and a width that is no power of two; two images whose deepest maps are a pixel high.
@pytest.mark.parametrize(
    ("options", "shape"),
    [
        ({"encoder": "mobilenet_v2_050_lean", "width": 40, "finest": 2, "finest_width": 20}, (1, 33, 47, 3)),
        ({"encoder": "mobilenet_v3_small"}, (2, 32, 40, 3)),
    ],
)
def test_float32_equals_pytorch(
    options: dict[str, Any], shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bcpnet.gpu.layers, "_PROGRAMS", 2)  # large blocks in large maps, small ones in small ones
    network = random_network("bcpnet", 19, **options)
    frames = random_frames(*shape)
    with torch.inference_mode():
        expected = eager_network(network, torch.float32, CPU)(frames)
        logits = FusedBCPNet(network, torch.float32, DEVICE)(frames.to(DEVICE))
    assert _error(logits, expected) < 1e-4


def test_float16_is_as_close_as_that_of_pytorch() -> None:
    network = random_network("bcpnet", 11, encoder="mobilenet_v2_050")
    frames = random_frames(1, 32, 32, 3)
    with torch.inference_mode():
        expected = eager_network(network, torch.float32, CPU)(frames)
        of_pytorch = eager_network(network, torch.float16, CPU)(frames)
        logits = FusedBCPNet(network, torch.float16, DEVICE)(frames.to(DEVICE))
    assert 1e-5 < _error(logits, expected) < 2 * _error(of_pytorch, expected)


@pytest.mark.parametrize("options", [{"bcp": False}, {"pooling": "avg3"}, {"pooling": "max5"}])
def test_other_networks_run_in_pytorch(options: dict[str, Any]) -> None:
    network = random_network("bcpnet", 5, **options)
    with pytest.raises(ValueError, match="kernel"):
        FusedBCPNet(network, torch.float32, DEVICE)
    frames = random_frames(1, 40, 48, 3)
    with torch.inference_mode():
        expected = eager_network(network, torch.float32, CPU)(frames)
        logits = gpu_network(network, torch.float32, DEVICE)(frames.to(DEVICE))
    assert _error(logits, expected) < 1e-4


class _Pooled(nn.Module):
    """A network that is no BCPNet at all."""

    def forward(self, images: Any) -> Any:
        return nn.functional.avg_pool2d(images, 8)


def test_any_network_runs() -> None:
    frames = random_frames(2, 32, 64, 3)
    with torch.inference_mode():
        logits = gpu_network(_Pooled().eval(), torch.float32, DEVICE)(frames.to(DEVICE))
    expected = nn.functional.avg_pool2d((frames.permute(0, 3, 1, 2).float() - 128) / 128, 8)
    assert _error(logits, expected) < 1e-6
