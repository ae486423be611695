"""The command line as a function, and weights and a picture for it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from bad_things import make_bad_things
from command_line import Cli, Ran
from media_files import scene
from one_convolution import METADATA, write_onnx
from PIL import Image

from bcpnet.cli import main
from bcpnet.cli.common import Status
from bcpnet.labels import CITYSCAPES
from bcpnet.metadata import KEY, Metadata


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    """Runs `bcpnet` with these arguments, in this process."""

    def run(*arguments: object) -> Ran:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        return Ran(code, *capsys.readouterr())

    return run


@pytest.fixture(scope="session")
def cityscapes_onnx(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of one convolution for Cityscapes' 19 classes."""
    metadata = replace(METADATA, classes=CITYSCAPES)
    return write_onnx(tmp_path_factory.mktemp("onnx") / "cityscapes.onnx", {KEY: metadata.to_json()}, CITYSCAPES)


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BCPNet with random weights for CamVid's classes, short side 64."""
    pytest.importorskip("torch", reason="checkpoints need PyTorch")
    from random_networks import random_network

    from bcpnet.networks.checkpoint import save_checkpoint

    path: Path = tmp_path_factory.mktemp("checkpoint") / "random.safetensors"
    save_checkpoint(path, random_network("bcpnet", 11), Metadata("bcpnet", {}, METADATA.classes, short_side=64))
    return path


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """photos/street.png, 45 pixels high, 61 wide."""
    path = tmp_path / "photos" / "street.png"
    path.parent.mkdir()
    Image.fromarray(scene(0, 45, 61)).save(path)
    return path


@pytest.fixture(scope="session")
def bad(tmp_path_factory: pytest.TempPathFactory, onnx_path: Path) -> Path:
    """See `make_bad_things`."""
    folder: Path = tmp_path_factory.mktemp("bad")
    make_bad_things(folder, onnx_path)
    return folder


@pytest.fixture
def no_news(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow machine would see a line of progress now and then among the lines counted here."""
    monkeypatch.setattr(Status, "show", lambda *_, **__: None)


@pytest.fixture(autouse=True)
def _memory_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """`bcpnet train` here must not change how this process, in which all tests run, keeps its memory."""
    monkeypatch.setattr("bcpnet.cli.train.keep_memory", lambda: True)
