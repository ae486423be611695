"""Fetching weights from a local server: whole, interrupted, wrong."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from archive_server import Server, running
from full_disk import full_disk
from media_files import scene
from PIL import Image
from safetensors.numpy import load_file

from bcpnet.cli import main
from bcpnet.errors import InputError, UsageError
from bcpnet.labels import CITYSCAPES

pytest.importorskip("tflite")

import torch
from espnetv2_files import random_espnetv2, released, saved
from safetensors.torch import load_file as load_torch
from tflite_files import random_convolutions, tflite_bytes
from torch import Tensor

from bcpnet.networks.checkpoint import load_checkpoint
from bcpnet.networks.encoders.tflite_file import read_tflite
from bcpnet.networks.zoo.espnetv2_weights import from_release
from bcpnet.training.pretrained import SOURCES, Encoder, digest, fetch_pretrained

NAME = "mobilenet_v2_050"
ENCODERS = [name for name, source in SOURCES.items() if isinstance(source, Encoder)]
ESPNETV2 = "espnetv2_150_cityscapes"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Serves an encoder of random weights."""
    monkeypatch.setattr("bcpnet.storage.fetch._WAITS_S", (0.0, 0.0))
    with running() as server:
        server.archive = tflite_bytes(random_convolutions(0.5))
        server.path = _path(NAME)
        yield server


def _path(name: str) -> str:
    return f"/raw/{SOURCES[name].commit}/{SOURCES[name].file}"


def fetch(server: Server, path: Path, name: str = NAME) -> bool:
    return fetch_pretrained(name, path, base_url=server.url, report=str)


def test_what_the_server_has_is_what_is_written(server: Server, tmp_path: Path) -> None:
    (tmp_path / "model.tflite").write_bytes(server.archive)
    expected = read_tflite(tmp_path / "model.tflite", 0.5)
    path = tmp_path / "new" / "encoder.safetensors"
    server.cuts = [1000, 20_000]
    assert not fetch(server, path)
    assert server.requests == [None, "bytes=1000-", "bytes=21000-"]
    written = load_file(path)
    assert written.keys() == expected.keys()
    assert all((written[name] == tensor).all() for name, tensor in expected.items())
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def _sha256(name: str, tensors: dict[str, np.ndarray]) -> str:
    return digest(SOURCES[name].compared(tensors))


@pytest.mark.parametrize("name", ENCODERS)
def test_the_digests_are_those_of_the_published_encoders(name: str, pretrained_root: Path) -> None:
    tensors = load_file(pretrained_root / f"{name}.safetensors")
    assert _sha256(name, tensors) == SOURCES[name].sha256
    tensors["stem.bias"][0] += 1
    assert _sha256(name, tensors) == SOURCES[name].sha256
    tensors["stem.weight"][0, 0, 0, 0] += 1
    assert _sha256(name, tensors) != SOURCES[name].sha256


def test_the_very_weights_are_known(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model.tflite").write_bytes(server.archive)
    sha256 = _sha256(NAME, read_tflite(tmp_path / "model.tflite", 0.5))
    monkeypatch.setitem(SOURCES, NAME, dataclasses.replace(SOURCES[NAME], sha256=sha256))
    assert fetch(server, tmp_path / "encoder.safetensors")


@pytest.mark.parametrize("answer", [b"<html>log in here</html>", tflite_bytes(random_convolutions(1.0))])
def test_something_else_is_refused(server: Server, answer: bytes, tmp_path: Path) -> None:
    server.archive = answer
    with pytest.raises(InputError, match="the download was removed"):
        fetch(server, tmp_path / "encoder.safetensors")
    assert not list(tmp_path.iterdir())


def test_a_download_that_broke_off_is_gone_on_with(server: Server, tmp_path: Path) -> None:
    server.cuts = [3000, 0, 0, 0]
    with pytest.raises(InputError, match=r"dropped .*run the command again"):
        fetch(server, tmp_path / "encoder.safetensors")
    server.cuts = []
    fetch(server, tmp_path / "encoder.safetensors")
    assert server.requests[-1] == "bytes=3000-"
    assert [file.name for file in tmp_path.iterdir()] == ["encoder.safetensors"]


def test_wrong_calls(server: Server, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="need a http"):
        fetch_pretrained(NAME, tmp_path / "encoder.safetensors", base_url="file:///etc", report=str)
    (tmp_path / "letter").write_text("x")
    with pytest.raises(InputError, match="cannot write"):
        fetch(server, tmp_path / "letter" / "encoder.safetensors")
    with full_disk(), pytest.raises(InputError, match="cannot write"):
        fetch(server, tmp_path / "encoder.safetensors")
    server.path = "/elsewhere"
    with pytest.raises(InputError, match="the server answered 404"):
        fetch(server, tmp_path / "other.safetensors")


@pytest.fixture
def espnetv2_server(server: Server) -> Server:
    """Serves ESPNetv2 with random weights as its authors release it."""
    server.archive = saved(released(random_espnetv2(1.5)))
    server.path = _path(ESPNETV2)
    return server


@pytest.mark.parametrize("old", [True, False])
def test_a_network_is_written_as_a_checkpoint(espnetv2_server: Server, old: bool, tmp_path: Path) -> None:
    expected = random_espnetv2(1.5)
    espnetv2_server.archive = saved(released(expected), old=old)
    espnetv2_server.cuts = [1000]
    path = tmp_path / "network.safetensors"
    assert not fetch(espnetv2_server, path, ESPNETV2)
    network, metadata = load_checkpoint(path)
    loaded = network.state_dict()
    assert all(torch.equal(tensor, loaded[name]) for name, tensor in expected.state_dict().items())
    assert (metadata.network, metadata.options, metadata.short_side) == ("espnetv2", {"scale": 1.5}, 512)
    assert metadata.classes == CITYSCAPES
    assert metadata.provenance.endswith("; not the weights that bcpnet knows")
    assert "MIT" in metadata.licence
    assert "non-commercial" in metadata.licence
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def _published(name: str, root: Path) -> dict[str, Tensor]:
    """The release's tensors under its names, or a skip."""
    path = root / f"{name}.safetensors"
    if not path.is_file():
        pytest.skip(f"no {path}")
    return load_torch(path)


@pytest.mark.parametrize(
    ("name", "figure"), [("espnetv2_200_cityscapes", "66.4 %"), ("espnetv2_150_cityscapes", "63.8 %")]
)
def test_the_very_network_is_known(
    server: Server, name: str, figure: str, tmp_path: Path, pretrained_root: Path
) -> None:
    tensors = _published(name, pretrained_root)
    server.path, server.archive = _path(name), saved(tensors)
    assert fetch(server, tmp_path / "network.safetensors", name)
    network, metadata = load_checkpoint(tmp_path / "network.safetensors")
    assert f"its authors report {figure}" in metadata.provenance
    assert metadata.provenance.endswith(", not measured here")
    reference = from_release(tensors, metadata.options["scale"])
    image = torch.rand(1, 3, 64, 96)
    with torch.inference_mode():
        assert torch.equal(network(image), reference(image))
    tensors["bu_br_l2.0.running_var"][5] += 1
    server.archive = saved(tensors)
    assert not fetch(server, tmp_path / "network.safetensors", name)
    assert figure not in load_checkpoint(tmp_path / "network.safetensors")[1].provenance


class _Command:
    """Unpickled carelessly it makes a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("old", [True, False])
def test_a_pickle_that_runs_a_command_is_refused_unrun(espnetv2_server: Server, old: bool, tmp_path: Path) -> None:
    folder = tmp_path / "made"
    espnetv2_server.archive = saved({**released(random_espnetv2(1.5)), "more": _Command(folder)}, old=old)
    torch.load(_file(tmp_path, espnetv2_server.archive), weights_only=False)
    assert folder.exists()  # it is dangerous
    folder.rmdir()
    with pytest.raises(InputError, match=r"tensors alone .*nothing else is loaded; the download was removed") as raised:
        fetch(espnetv2_server, tmp_path / "out" / "network.safetensors", ESPNETV2)
    assert "\n" not in str(raised.value)
    assert not folder.exists()
    assert not list((tmp_path / "out").iterdir())


def _file(folder: Path, data: bytes) -> Path:
    path = folder / "file.pth"
    path.write_bytes(data)
    return path


_RELEASED = released(random_espnetv2(1.5))


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        pytest.param(b"<html>log in here</html>", "damaged, or not a PyTorch file", id="page"),
        pytest.param(b"", "damaged, or not a PyTorch file", id="empty"),
        pytest.param(saved(_RELEASED)[:-1000], "damaged, or not a PyTorch file", id="truncated"),
        pytest.param(saved(_RELEASED, old=False)[:-1000], "damaged, or not a PyTorch file", id="truncated-zip"),
        pytest.param(saved(list(_RELEASED.values())), "not a table of tensors by name", id="list"),
        pytest.param(saved({1: torch.zeros(1)}), "not a table of tensors by name", id="numbers"),
        pytest.param(saved({}), "is missing", id="nothing"),
        pytest.param(saved(released(random_espnetv2(0.5))), "the network wants", id="another-scale"),
        pytest.param(saved({**_RELEASED, "base_net.classifier.weight": torch.zeros(1)}), "is not part", id="more"),
        pytest.param(saved({"state_dict": _RELEASED}), "is missing", id="nested"),
    ],
)
def test_another_network_is_refused(espnetv2_server: Server, answer: bytes, message: str, tmp_path: Path) -> None:
    espnetv2_server.archive = answer
    with pytest.raises(InputError, match=f"{message}.*; the download was removed") as raised:
        fetch(espnetv2_server, tmp_path / "network.safetensors", ESPNETV2)
    assert "\n" not in str(raised.value)
    assert not list(tmp_path.iterdir())


def test_each_source_is_asked_at_its_own_repository(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = []

    def no_download(url: str, *_: object) -> None:
        asked.append(url)
        raise InputError("no")

    monkeypatch.setattr("bcpnet.training.pretrained.download", no_download)
    for name in SOURCES:
        with pytest.raises(InputError, match="no"):
            fetch_pretrained(name, tmp_path / "x.safetensors", report=str)
    assert asked == [f"{source.repository}/raw/{source.commit}/{source.file}" for source in SOURCES.values()]
    assert {url.split("/raw/")[0] for url in asked} == {
        "https://github.com/google-coral/edgetpu",
        "https://github.com/sacmehta/EdgeNets",
    }


def test_from_the_command_to_labels(
    espnetv2_server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, image = tmp_path / "network.safetensors", tmp_path / "street.png"
    assert main(["pretrained", ESPNETV2, "--out", str(path), "--base-url", espnetv2_server.url]) == 0
    assert capsys.readouterr().out == f"{ESPNETV2} in {path}, not with the weights that bcpnet knows\n"
    Image.fromarray(scene(0, 64, 96)).save(image)
    found = tmp_path / "found"
    words = ["--weights", str(path), "--size", "64x96", "--out", str(found), "--save", "classmap"]
    assert main(["predict", str(image), *words]) == 0
    classes = np.asarray(Image.open(found / "street.png"))
    assert classes.shape == (64, 96)
    assert classes.max() < len(CITYSCAPES)
    espnetv2_server.archive = saved([])
    capsys.readouterr()
    assert main(["pretrained", ESPNETV2, "--out", str(path), "--base-url", espnetv2_server.url]) == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert load_checkpoint(path)[1].network == "espnetv2"  # the old file stands


def test_the_command_offers_every_source(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pretrained", "--help"]) == 0
    said = capsys.readouterr().out
    assert all(name in said for name in SOURCES)
