"""Frames in: the same network as on normalised planes."""

from __future__ import annotations

import torch
from random_networks import random_frames, random_network

from bcpnet.networks.frames import FrameNetwork, normalise


def test_normalises_exactly() -> None:
    values = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16).expand(2, 3, 16, 16)
    normalised = normalise(values)
    assert normalised.dtype == torch.float32
    assert torch.equal(normalised.double(), (values.double() - 128) / 128)


def test_takes_rows_of_rgb() -> None:
    network, frames = random_network("bcpnet", 5), random_frames(2, 33, 47, 3)
    planes = torch.stack([frames[..., channel] for channel in range(3)], dim=1)
    with torch.inference_mode():
        expected = network(normalise(planes))
        assert torch.equal(FrameNetwork(network)(frames), expected)
    assert frames.dtype == torch.uint8
