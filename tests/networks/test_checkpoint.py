"""Checkpoints: what is saved comes back, and nothing else is taken for one."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from full_disk import full_disk
from random_networks import random_network
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from bcpnet.errors import InputError, UsageError
from bcpnet.labels import CAMVID, CITYSCAPES
from bcpnet.metadata import KEY, Metadata
from bcpnet.networks.checkpoint import load_checkpoint, save_checkpoint

OPTIONS = {"encoder": "mobilenet_v2_050", "bcp": False}
METADATA = Metadata("bcpnet", OPTIONS, CAMVID, 360, "made by a test", "none")


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("checkpoint") / "network.safetensors"
    save_checkpoint(path, random_network("bcpnet", len(CAMVID), **OPTIONS), METADATA)
    return path


def test_round_trip(saved: Path) -> None:
    network, metadata = load_checkpoint(saved)
    assert metadata == METADATA
    assert not network.training
    expected = random_network("bcpnet", len(CAMVID), **OPTIONS).state_dict()
    loaded = network.state_dict()
    assert list(loaded) == list(expected)
    assert all(
        torch.equal(loaded[name], value) and loaded[name].dtype == value.dtype for name, value in expected.items()
    )


def test_memory_layout_and_gradients_do_not_matter(saved: Path, tmp_path: Path) -> None:
    network = random_network("bcpnet", len(CAMVID), **OPTIONS).train()
    network.to(memory_format=torch.channels_last)
    save_checkpoint(tmp_path / "again.safetensors", network, METADATA)
    assert (tmp_path / "again.safetensors").read_bytes() == saved.read_bytes()
    assert network.training


def test_others_may_read_it(saved: Path) -> None:
    plain = saved.with_name("plain")
    plain.touch()
    assert saved.stat().st_mode == plain.stat().st_mode  # safetensors' own writer keeps files to their owner


def test_metadata_is_readable_without_bcpnet(saved: Path) -> None:
    with safe_open(saved, "np") as file:
        values = json.loads(file.metadata()[KEY])
    assert values["network"] == "bcpnet"
    assert values["classes"]["names"] == list(CAMVID.names)


def _write(kind: str, path: Path, saved: Path) -> None:
    """A file that is no checkpoint, or one that does not fit."""
    tensors = load_file(saved)
    text = METADATA.to_json()

    def changed(**fields: object) -> str:
        return dataclasses.replace(METADATA, **fields).to_json()

    if kind == "pickle":
        torch.save(tensors, path)
    elif kind == "empty":
        path.touch()
    elif kind == "text":
        path.write_text("no weights\n" * 100)
    elif kind == "truncated":
        path.write_bytes(saved.read_bytes()[:-1000])
    elif kind == "cut in the header":
        path.write_bytes(saved.read_bytes()[:100])
    elif kind == "foreign":
        save_file(tensors, path, {"format": "pt"})
    elif kind == "no metadata":
        save_file(tensors, path)
    elif kind == "classes":
        save_file(tensors, path, {KEY: changed(classes=CITYSCAPES)})
    elif kind == "options":
        save_file(tensors, path, {KEY: changed(options={})})
    elif kind == "unknown network":
        save_file(tensors, path, {KEY: changed(network="unet")})
    elif kind == "unknown option":
        save_file(tensors, path, {KEY: changed(options={"depth": 2})})
    elif kind == "bad option":
        save_file(tensors, path, {KEY: changed(options={"width": -1})})
    elif kind == "options are no table":
        save_file(tensors, path, {KEY: changed(options=3)})
    elif kind == "missing tensor":
        del tensors["head.bias"]
        save_file(tensors, path, {KEY: text})
    elif kind == "extra tensor":
        save_file({**tensors, "tail.bias": torch.zeros(1)}, path, {KEY: text})
    elif kind == "bad metadata":
        save_file(tensors, path, {KEY: "{}"})
    elif kind == "folder":
        path.mkdir()


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("absent", "no such file"),
        ("folder", "no such file"),
        ("pickle", "not a safetensors file .*; pickled weights are never loaded"),
        ("empty", "not a safetensors file"),
        ("text", "not a safetensors file"),
        ("truncated", "not a safetensors file"),
        ("cut in the header", "not a safetensors file"),
        ("foreign", "without bcpnet metadata"),
        ("no metadata", "without bcpnet metadata"),
        ("bad metadata", "metadata cannot be read"),
        ("classes", r"tensor head.bias is \[11\], the network has \[19\]"),
        ("options", "tensor .* (is not part of|is missing for) network bcpnet"),
        ("unknown network", "its network cannot be built: unknown network 'unet'"),
        ("unknown option", "its network cannot be built: .*depth"),
        ("bad option", "its network cannot be built: .*need at least 1"),
        ("options are no table", "options 3: not a table"),
        ("missing tensor", "tensor head.bias is missing for network bcpnet"),
        ("extra tensor", "tensor tail.bias is not part of network bcpnet"),
    ],
)
def test_what_is_no_checkpoint(kind: str, message: str, saved: Path, tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    _write(kind, path, saved)
    with pytest.raises(InputError, match=message) as raised:
        load_checkpoint(path)
    assert str(raised.value).startswith(f"{path}: ")
    assert "\n" not in str(raised.value)
    assert not isinstance(raised.value, UsageError)  # the file is wrong, not the call


def test_a_pickle_is_not_run(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (tmp_path / "ran",)

    torch.save({"bomb": Bomb()}, tmp_path / "weights.safetensors")
    with pytest.raises(InputError):
        load_checkpoint(tmp_path / "weights.safetensors")
    assert not (tmp_path / "ran").exists()


def test_full_disk_leaves_the_older_file(saved: Path, tmp_path: Path) -> None:
    path = tmp_path / "network.safetensors"
    path.write_bytes(b"older")
    network, metadata = load_checkpoint(saved)
    with full_disk(), pytest.raises(InputError, match=r"network\.safetensors: cannot write: "):
        save_checkpoint(path, network, metadata)
    assert [file.name for file in tmp_path.iterdir()] == ["network.safetensors"]
    assert path.read_bytes() == b"older"


def test_unwritable_place(saved: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    network, metadata = load_checkpoint(saved)
    with pytest.raises(InputError, match=r"network\.safetensors: cannot write: "):
        save_checkpoint(tmp_path / "file" / "network.safetensors", network, metadata)
