"""Shared fixtures."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from one_convolution import METADATA, write_onnx

from bcpnet.metadata import KEY

settings.register_profile("by no clock", deadline=None)
settings.load_profile("by no clock")
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # started in the background; the tests send it
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def torch_threads() -> Iterator[None]:
    """PyTorch's threads are those of the whole process: a test that sets them leaves $OMP_NUM_THREADS to the next one.

    Two test processes with two threads each wait for each other, for minutes.
    """
    yield
    torch = sys.modules.get("torch")
    threads = int(os.environ.get("OMP_NUM_THREADS", "0"))
    if torch is not None and threads and torch.get_num_threads() != threads:
        torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def camvid_root() -> Path:
    """Folder of the real CamVid (train/images ...), or a skip where this machine has none."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "camvid"
    root = Path(os.environ.get("BCPNET_CAMVID", beside))
    if not (root / "train" / "images").is_dir():
        pytest.skip(f"no CamVid at {root}; set BCPNET_CAMVID to its folder")
    return root


@pytest.fixture(scope="session")
def pretrained_root() -> Path:
    """Folder of the published encoders, or a skip where this machine has none."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "pretrained"
    root = Path(os.environ.get("BCPNET_PRETRAINED", beside))
    if not (root / "mobilenet_v2_050.safetensors").is_file():
        pytest.skip(f"no encoders in {root}; set BCPNET_PRETRAINED to their folder")
    return root


@pytest.fixture(scope="session")
def onnx_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of one convolution with its bcpnet metadata: CamVid's classes, short side 360."""
    return write_onnx(tmp_path_factory.mktemp("onnx") / "network.onnx", {KEY: METADATA.to_json()})


@pytest.fixture
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's cache folder, an empty one."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("LOCALAPPDATA", str(folder))
    return folder
