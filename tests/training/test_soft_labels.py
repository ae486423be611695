"""Soft labels: what the teacher says, on disk; a student learns from them; what does not go together is refused."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
import torch.nn.functional as F
from fake_training import CLASSES, PATCH, Shades, tiny_recipe
from PIL import Image, ImageOps
from random_networks import random_network
from torch import nn

from bcpnet.checkpoint import load_checkpoint, save_checkpoint
from bcpnet.errors import InputError, UsageError
from bcpnet.labels import CAMVID, IGNORE
from bcpnet.metadata import Metadata
from bcpnet.networks import build
from bcpnet.networks.frames import normalise
from bcpnet.preprocess import network_size_hw
from bcpnet.training import fit as fit_module
from bcpnet.training.soft_labels import UNIT, read_soft_labels, write_soft_labels

CPU = torch.device("cpu")


@pytest.fixture
def teacher(tmp_path: Path) -> Path:
    """Trained on nothing, but certain of much: its head is scaled up. It looks at images of twice the size."""
    network = random_network("bcpnet", len(CLASSES))
    assert isinstance(network.head, nn.Conv2d)
    network.head.weight.data *= 20
    path = tmp_path / "teacher.safetensors"
    save_checkpoint(path, network, Metadata("bcpnet", {}, CLASSES, 64))
    return path


def _soft(teacher: str, train: Shades, folder: Path) -> npt.NDArray[np.float64]:
    write_soft_labels(teacher, train, folder / "soft.npy", CPU)
    return read_soft_labels(folder / "soft.npy", len(train)) / UNIT


def test_they_are_what_the_teacher_sees_at_three_sizes(teacher: Path, tmp_path: Path) -> None:
    train = Shades(3)
    network, _ = load_checkpoint(teacher)
    soft = _soft(str(teacher), train, tmp_path)
    assert soft.shape == (3, 3, 8, 12)
    assert soft.std((2, 3)).max() > 0.1  # it sees something
    for sample, stored in zip(train.samples, soft, strict=True):
        seen = []
        for short_side in (64, 51, 85):
            size_wh = network_size_hw((32, 48), short_side)[::-1]
            image = Image.fromarray(sample.image).resize(size_wh, Image.Resampling.BILINEAR)
            for turn in (lambda x: x, ImageOps.mirror):
                pixels = torch.from_numpy(np.array(turn(image)).transpose(2, 0, 1))[None]
                with torch.inference_mode():
                    maps = network(normalise(pixels)).softmax(1)
                maps = maps if turn is not ImageOps.mirror else maps.flip(-1)
                seen.append(F.interpolate(maps, size=(8, 12), mode="bilinear")[0].numpy())
        assert np.abs(stored - np.mean(seen, 0)).max() <= 0.5 / UNIT + 1e-3


def test_of_several_teachers_the_mean_counts(teacher: Path, tmp_path: Path) -> None:
    train, second = Shades(3), tmp_path / "second.safetensors"
    save_checkpoint(second, random_network("bcpnet", len(CLASSES), seed=1), Metadata("bcpnet", {}, CLASSES, 64))
    alone = [_soft(str(name), train, tmp_path) for name in (teacher, second)]
    assert np.abs(alone[0] - alone[1]).max() > 0.2
    assert np.abs(_soft(f"{teacher},{second}", train, tmp_path) - np.mean(alone, 0)).max() <= 1.01 / UNIT


def test_a_mirrored_street_has_mirrored_soft_labels(teacher: Path, tmp_path: Path) -> None:
    train, mirrored = Shades(3), Shades(3)
    mirrored.samples = [sample._replace(image=np.ascontiguousarray(sample.image[:, ::-1])) for sample in train.samples]
    difference = _soft(str(teacher), train, tmp_path) - _soft(str(teacher), mirrored, tmp_path)[..., ::-1]
    assert np.abs(difference).max() <= 1.01 / UNIT


def test_a_student_learns_from_soft_labels_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No pixel is labelled: a teacher that knows dark from light is all there is to learn from."""
    bare = Shades(16)
    bare.samples = [sample._replace(label=np.full_like(sample.label, IGNORE)) for sample in bare.samples]
    known = np.stack([np.eye(3, dtype=np.uint8)[sample.label] * UNIT for sample in Shades(16, ignored=0).samples])

    def write(teacher: str, train: Shades, path: Path, device: torch.device) -> None:
        del teacher, train, device
        path.parent.mkdir()
        np.save(path, np.ascontiguousarray(known.transpose(0, 3, 1, 2)))

    monkeypatch.setattr(fit_module, "write_soft_labels", write)
    run = tmp_path / "run"
    recipe = tiny_recipe(teacher="known", epochs=10, optimizer="adamw", lr=1e-2)
    fit_module.fit(recipe, bare, None, run, accelerator="cpu")
    network, metadata = load_checkpoint(run / "last.safetensors")
    assert "teacher known" in metadata.provenance
    right = []
    for sample in Shades(4, seed=5, ignored=0).samples:
        with torch.inference_mode():
            logits = network(normalise(torch.from_numpy(sample.image).permute(2, 0, 1)[None]))
        seen = F.interpolate(logits, size=sample.label.shape, mode="nearest")[0].argmax(0).numpy()
        middle = np.s_[PATCH // 2 :: PATCH]
        right.append((seen == sample.label)[middle, middle].mean())
    assert np.mean(right) > 0.6  # a third by chance


def test_a_resumed_run_ends_as_a_whole_one_and_asks_no_teacher(teacher: Path, tmp_path: Path) -> None:
    recipe = tiny_recipe(teacher=str(teacher), distil=0.5)

    def stop(progress: fit_module.Progress) -> None:
        if progress.step == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    fit_module.fit(recipe, Shades(16), None, tmp_path / "whole", accelerator="cpu")
    with pytest.raises(fit_module.RunInterruptedError):
        fit_module.fit(recipe, Shades(16), None, tmp_path / "parts", accelerator="cpu", report=stop)
    teacher.unlink()
    fit_module.fit(recipe, Shades(16), None, tmp_path / "parts", accelerator="cpu", resume=True)
    ends = [(tmp_path / run / "last.safetensors").read_bytes() for run in ("whole", "parts")]
    assert ends[0] == ends[1]
    fit_module.fit(tiny_recipe(), Shades(16), None, tmp_path / "alone", accelerator="cpu")
    assert (tmp_path / "alone" / "last.safetensors").read_bytes() != ends[0]


def test_what_does_not_go_together(teacher: Path, tmp_path: Path) -> None:
    path = tmp_path / "soft.npy"
    with pytest.raises(InputError, match=r"shades_1: 48x32 pixels, others have 32x48: a teacher needs"):
        write_soft_labels(str(teacher), Shades(3, ((32, 48), (48, 32))), path, CPU)
    with pytest.raises(UsageError, match="unknown weights 'nobody'"):
        write_soft_labels("nobody", Shades(3), path, CPU)
    save_checkpoint(teacher, build("bcpnet", 11), Metadata("bcpnet", {}, CAMVID, 64))
    with pytest.raises(InputError, match=r"its classes \(camvid\) are not those of the training data"):
        write_soft_labels(str(teacher), Shades(3), path, CPU)
    assert [file.name for file in tmp_path.iterdir()] == ["teacher.safetensors"]
    with pytest.raises(UsageError, match="the recipe wants a teacher"):
        fit_module.fit(tiny_recipe(teacher="required"), Shades(16), None, tmp_path / "run")


@pytest.mark.parametrize("damage", ["absent", "text", "short", "other"])
def test_soft_labels_of_something_else(damage: str, tmp_path: Path) -> None:
    path = tmp_path / "soft.npy"
    if damage == "text":
        path.write_text("no array")
    elif damage != "absent":
        np.save(path, np.zeros((4, 3, 8, 12) if damage == "other" else (5, 3, 8, 12), np.uint8))
    if damage == "short":
        path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(
        InputError, match=r"soft\.npy: (soft labels cannot be read|not the soft labels of this run's 5)"
    ):
        read_soft_labels(path, 5)
