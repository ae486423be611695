"""The PyTorch backend computes what the network in the checkpoint does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from random_networks import random_images, random_network
from torch import nn

from bcpnet.backends.pytorch import PytorchBackend
from bcpnet.checkpoint import save_checkpoint
from bcpnet.errors import InputError
from bcpnet.labels import CAMVID
from bcpnet.metadata import Metadata

METADATA = Metadata("bcpnet", {}, CAMVID, 360)


@pytest.fixture(scope="module")
def network() -> nn.Module:
    return random_network("bcpnet", len(CAMVID))


@pytest.fixture(scope="module")
def backend(network: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> PytorchBackend:
    path = tmp_path_factory.mktemp("pytorch") / "network.safetensors"
    save_checkpoint(path, network, METADATA)
    return PytorchBackend(path)


@pytest.mark.parametrize("shape", [(1, 3, 32, 32), (2, 3, 33, 47), (1, 3, 97, 131)])
def test_equals_the_unfolded_network(backend: PytorchBackend, network: nn.Module, shape: tuple[int, ...]) -> None:
    images = random_images(*shape)
    kept = images.clone()
    with torch.inference_mode():
        expected = network(images).numpy()
    logits = backend(images.numpy())
    assert logits.dtype == np.float32
    assert logits.flags.c_contiguous
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-4 * np.abs(expected).max())
    assert torch.equal(images, kept)


def test_knows_its_metadata(backend: PytorchBackend) -> None:
    assert backend.name == "pytorch"
    assert backend.metadata == METADATA


def test_takes_any_layout_of_the_array(backend: PytorchBackend) -> None:
    images = random_images(1, 3, 40, 56).numpy()
    other = np.ascontiguousarray(images.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(backend(other), backend(images), rtol=1e-5, atol=1e-5)


def test_bad_file(tmp_path: Path) -> None:
    path = tmp_path / "network.safetensors"
    path.write_text("no weights")
    with pytest.raises(InputError, match="not a safetensors file"):
        PytorchBackend(path)


@pytest.mark.filterwarnings("ignore:The given NumPy array is not writable")
def test_out_of_memory_is_one_line(backend: PytorchBackend) -> None:
    images = np.broadcast_to(np.float32(1), (1, 3, 2**23, 2**23))  # a copy has 844 TB: no address space has room
    with pytest.raises(InputError, match="PyTorch failed on 1 x 8388608x8388608 pixels: ") as raised:
        backend(images)
    assert "\n" not in str(raised.value)
