"""The PyTorch backend computes what the network in the checkpoint does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from random_networks import random_frames, random_network
from torch import nn

from bcpnet.backends.pytorch import PytorchBackend
from bcpnet.errors import InputError
from bcpnet.labels import CAMVID
from bcpnet.metadata import Metadata
from bcpnet.networks.checkpoint import save_checkpoint

METADATA = Metadata("bcpnet", {}, CAMVID, 360)


@pytest.fixture(scope="module")
def network() -> nn.Module:
    return random_network("bcpnet", len(CAMVID))


@pytest.fixture(scope="module")
def backend(network: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> PytorchBackend:
    path = tmp_path_factory.mktemp("pytorch") / "network.safetensors"
    save_checkpoint(path, network, METADATA)
    return PytorchBackend(path)


@pytest.mark.parametrize("shape", [(1, 32, 32, 3), (2, 33, 47, 3), (1, 97, 131, 3)])
def test_equals_the_unfolded_network(backend: PytorchBackend, network: nn.Module, shape: tuple[int, ...]) -> None:
    frames = random_frames(*shape)
    kept = frames.clone()
    with torch.inference_mode():
        expected = network((frames.permute(0, 3, 1, 2).float() - 128) / 128).numpy()
    logits = backend(frames.numpy())
    assert logits.dtype == np.float32
    assert logits.flags.c_contiguous
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-4 * np.abs(expected).max())
    assert torch.equal(frames, kept)


def test_knows_its_metadata(backend: PytorchBackend) -> None:
    assert backend.name == "pytorch"
    assert backend.metadata == METADATA


def test_takes_any_layout_of_the_array(backend: PytorchBackend) -> None:
    frames = random_frames(1, 40, 56, 3).numpy()
    other = np.ascontiguousarray(frames.transpose(0, 3, 1, 2)).transpose(0, 2, 3, 1)
    np.testing.assert_allclose(backend(other), backend(frames), rtol=1e-5, atol=1e-5)


def test_bad_file(tmp_path: Path) -> None:
    path = tmp_path / "network.safetensors"
    path.write_text("no weights")
    with pytest.raises(InputError, match="not a safetensors file"):
        PytorchBackend(path)


@pytest.mark.filterwarnings("ignore:The given NumPy array is not writable")
def test_out_of_memory_is_one_line(backend: PytorchBackend) -> None:
    frames = np.broadcast_to(np.uint8(1), (1, 2**23, 2**23, 3))  # as floats 844 TB: no address space has room
    with pytest.raises(InputError, match="PyTorch failed on 1 x 8388608x8388608 pixels: ") as raised:
        backend(frames)
    assert "\n" not in str(raised.value)
