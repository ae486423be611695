"""Checkpoints: what is saved comes back, and nothing else is taken for one."""

from __future__ import annotations

import dataclasses
import json
import random
from pathlib import Path

import pytest
import torch
from full_disk import full_disk
from random_networks import random_network
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from bcpnet.benchmark.memory import peak_mib
from bcpnet.errors import InputError, UsageError
from bcpnet.labels import CAMVID, CITYSCAPES, ClassSet
from bcpnet.metadata import KEY, Metadata
from bcpnet.networks.checkpoint import load_checkpoint, save_checkpoint

OPTIONS = {"encoder": "mobilenet_v2_050", "bcp": False}
C3 = ((0, 0, 0), (9, 9, 9), (99, 99, 99))
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
    elif kind == "other type":
        tensors["head.bias"] = tensors["head.bias"].to(torch.int32)
        save_file(tensors, path, {KEY: text})
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
        ("other type", r"tensor head.bias is torch.int32, the network has torch.float32"),
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


@pytest.mark.parametrize(
    "options",
    [
        {"width": 30_000}, {"width": 10**12}, {"width": 10**400}, {"width": 1e308}, {"width": float("nan")},
        {"width": []}, {"width": "x" * 100_000}, {"width": None}, {"encoder": {}}, {"encoder": "x" * 100_000},
        {"pooling": [[]]}, {"finest": "2"}, {"num_classes": 3}, {"x" * 100_000: 1},
    ],
    ids=lambda options: str(options)[:20],
)  # fmt: skip
def test_options_of_any_size_take_no_memory(options: dict[str, object], saved: Path, tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    wide = dataclasses.replace(METADATA, options={"encoder": "mobilenet_v2_050", **options})
    save_file(load_file(saved), path, {KEY: wide.to_json()})
    clear = Path("/proc/self/clear_refs")
    if clear.exists():
        clear.write_text("5")  # forgets the most that this process has held so far
    before = peak_mib()
    with pytest.raises(InputError) as raised:
        load_checkpoint(path)
    assert str(raised.value).startswith(f"{path}: ")
    assert len(str(raised.value)) < len(str(path)) + 500
    after = peak_mib()
    if before is not None and after is not None:
        assert after - before < 100  # width 30000 is 40 GB


# Of the smaller ones; what each has beside weights (constants that are not saved) must be there, too.
@pytest.mark.parametrize("name", ["bcpnet", "bisenet1", "edanet", "enet", "espnetv2", "sq"])
def test_networks_come_back_whole(name: str, tmp_path: Path) -> None:
    network = random_network(name, 3)
    metadata = dataclasses.replace(METADATA, network=name, options={}, classes=ClassSet("x", ("a", "b", "c"), C3))
    save_checkpoint(tmp_path / "x.safetensors", network, metadata)
    loaded, _ = load_checkpoint(tmp_path / "x.safetensors")
    own = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    others = {**dict(loaded.named_parameters()), **dict(loaded.named_buffers())}
    assert list(own) == list(others)
    for key, tensor in own.items():
        assert torch.equal(others[key], tensor), key
        assert others[key].requires_grad == tensor.requires_grad
        assert others[key].device.type == "cpu"


def test_what_is_loaded_outlives_its_file(saved: Path, tmp_path: Path) -> None:
    path = tmp_path / "network.safetensors"
    path.write_bytes(saved.read_bytes())
    network, _ = load_checkpoint(path)
    with path.open("r+b") as file:
        file.write(bytes(path.stat().st_size))
    expected, _ = load_checkpoint(saved)
    assert all(torch.equal(network.state_dict()[key], value) for key, value in expected.state_dict().items())


@pytest.mark.parametrize("seed", range(40))
def test_a_damaged_file_is_loaded_or_refused_in_one_line(seed: int, saved: Path, tmp_path: Path) -> None:
    chance = random.Random(seed)
    whole = bytearray(saved.read_bytes())
    for _ in range(chance.choice([1, 3, 10])):
        whole[chance.randrange(chance.choice([8, 3000, len(whole)]))] = chance.randrange(256)
    path = tmp_path / "weights.safetensors"
    path.write_bytes(whole[: chance.choice([len(whole), chance.randrange(len(whole))])])
    message = f"{path}: "
    try:
        load_checkpoint(path)
    except InputError as error:
        message = str(error)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message


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
