"""What a run has seen: its own split, and what it takes over from other weights."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fake_training import CLASSES, Shades, tiny_recipe
from one_convolution import METADATA, write_onnx
from random_networks import random_network
from safetensors.torch import save_file

from bcpnet.backends import open_backend
from bcpnet.data.seen import UNKNOWN
from bcpnet.metadata import KEY, Metadata
from bcpnet.networks.checkpoint import load_checkpoint, save_checkpoint
from bcpnet.training.fit import fit
from bcpnet.training.trained_on import trained_on

# What the weights that ship saw beyond their train split: it changes when others ship.
BEYOND_TRAIN = [split for split in open_backend("camvid").metadata.trained_on if split != "camvid/train"]


def _weights(path: Path, *seen: str) -> str:
    path.parent.mkdir(exist_ok=True)
    metadata = Metadata("bcpnet", {}, CLASSES, 32, trained_on=seen)
    save_checkpoint(path, random_network("bcpnet", len(CLASSES)), metadata)
    return str(path)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ("camvid/train",)),
        ({"train_split": "trainval"}, ("camvid/train", "camvid/val")),
        ({"train_split": "without-0006R0"}, ("camvid/without-0006R0",)),
        ({"dataset": "folder"}, ("shades/train",)),
        ({"pretrained": "required", "teacher": "required"}, ("camvid/train",)),
        ({"pretrained": "camvid"}, ("camvid/train", *BEYOND_TRAIN)),
        ({"dataset": "streets", "teacher": "camvid"}, ("streets/train", "camvid/train", *BEYOND_TRAIN)),
        ({"pretrained": "gone.safetensors"}, ("camvid/train", UNKNOWN)),
        ({"teacher": "gone.onnx"}, ("camvid/train", UNKNOWN)),
        ({"teacher": "gone.npy"}, ("camvid/train", UNKNOWN)),
        ({"teacher": "camvid,gone.onnx"}, ("camvid/train", *BEYOND_TRAIN, UNKNOWN)),
    ],
)
def test_of_a_recipe(changes: dict[str, str], expected: tuple[str, ...]) -> None:
    assert trained_on(tiny_recipe(**changes), CLASSES) == expected


def test_files_hand_on_what_they_saw(tmp_path: Path) -> None:
    start = _weights(tmp_path / "start.safetensors", "streets/train")
    silent = _weights(tmp_path / "silent.safetensors")
    encoder = str(tmp_path / "encoder.safetensors")
    save_file({"weight": random_network("bcpnet", 3).state_dict()["head.weight"]}, encoder)
    onnx = str(write_onnx(tmp_path / "teacher.onnx", {KEY: replace(METADATA, trained_on=("a/b",)).to_json()}))
    (tmp_path / "run").mkdir()
    _weights(tmp_path / "run" / "last.safetensors", "c/d", UNKNOWN)
    labels = str(tmp_path / "soft_labels.npy")
    (tmp_path / "soft_labels.json").write_text(json.dumps({"trained_on": ["c/d", UNKNOWN]}))

    recipe = tiny_recipe(pretrained=start, teacher=f"{onnx},{start}")
    assert trained_on(recipe, CLASSES) == ("camvid/train", "streets/train", "a/b")
    assert trained_on(tiny_recipe(pretrained=silent), CLASSES) == ("camvid/train", UNKNOWN)
    assert trained_on(tiny_recipe(pretrained=encoder), CLASSES) == ("camvid/train",)
    for run in (tiny_recipe(teacher=labels), tiny_recipe(pretrained=str(tmp_path / "run"))):
        assert trained_on(run, CLASSES) == ("camvid/train", "c/d", UNKNOWN)
    (tmp_path / "text.safetensors").write_text("no weights")
    assert UNKNOWN in trained_on(tiny_recipe(pretrained=str(tmp_path / "text.safetensors")), CLASSES)


def test_runs_write_it(tmp_path: Path) -> None:
    """The second starts from the first and learns from a teacher; what is chosen on val is told elsewhere."""
    first, second = tmp_path / "first", tmp_path / "second"
    recipe = tiny_recipe(epochs=1)
    fit(recipe, Shades(16), Shades(3, seed=1), first, accelerator="cpu")
    teacher = _weights(tmp_path / "teacher.safetensors", "streets/val")
    recipe = replace(recipe, dataset="cityscapes", pretrained=str(first / "last.safetensors"), teacher=teacher)
    fit(recipe, Shades(16), None, second, accelerator="cpu")
    assert load_checkpoint(first / "best.safetensors")[1].trained_on == ("camvid/train",)
    assert load_checkpoint(second / "last.safetensors")[1].trained_on == (
        "cityscapes/train",
        "camvid/train",
        "streets/val",
    )
    assert np.load(second / "soft_labels.npy").shape[0] == 16
    assert json.loads((second / "soft_labels.json").read_text()) == {"trained_on": ["streets/val"]}


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b'{"trained_on": [1]}', b'{"trained_on": "a"}', b"[" * 10**5, b"\xff"]
)
def test_a_broken_file_beside_soft_labels_tells_nothing(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "soft.json").write_bytes(content)
    assert trained_on(tiny_recipe(teacher=str(tmp_path / "soft.npy")), CLASSES) == ("camvid/train", UNKNOWN)
