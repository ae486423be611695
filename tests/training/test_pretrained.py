"""Fetching encoders from a local server: whole, interrupted, wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from archive_server import Server, running
from full_disk import full_disk
from safetensors.numpy import load_file

from bcpnet.errors import InputError, UsageError

pytest.importorskip("tflite")

from tflite_files import random_convolutions, tflite_bytes

from bcpnet.networks.encoders.tflite_file import read_tflite
from bcpnet.training.pretrained import SOURCES, digest, fetch_pretrained

NAME = "mobilenet_v2_050"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Serves an encoder of random weights."""
    monkeypatch.setattr("bcpnet.fetch._WAITS_S", (0.0, 0.0))
    with running() as server:
        server.archive = tflite_bytes(random_convolutions(0.5))
        server.path = f"/raw/{SOURCES[NAME].commit}/{SOURCES[NAME].file}"
        yield server


def fetch(server: Server, path: Path) -> bool:
    return fetch_pretrained(NAME, path, base_url=server.url, report=str)


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


@pytest.mark.parametrize("name", SOURCES)
def test_the_digests_are_those_of_the_published_encoders(name: str, pretrained_root: Path) -> None:
    tensors = load_file(pretrained_root / f"{name}.safetensors")
    assert digest(tensors) == SOURCES[name].sha256
    tensors["stem.weight"][0, 0, 0, 0] += 1
    assert digest(tensors) != SOURCES[name].sha256


def test_the_very_weights_are_known(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model.tflite").write_bytes(server.archive)
    sha256 = digest(read_tflite(tmp_path / "model.tflite", 0.5))
    monkeypatch.setitem(SOURCES, NAME, SOURCES[NAME]._replace(sha256=sha256))
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
