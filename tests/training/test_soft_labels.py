"""Soft labels: what the teacher says, on disk; a student learns from them; what does not go together is refused."""

from __future__ import annotations

import math
import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
import torch.nn.functional as F
from fake_data import save
from fake_training import CLASSES, PATCH, Shades, tiny_recipe
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps
from random_networks import random_network
from torch import nn

from bcpnet.data.unlabelled import Unlabelled
from bcpnet.errors import InputError, UsageError
from bcpnet.frames.preprocess import network_size_hw
from bcpnet.labels import CAMVID, CITYSCAPES, IGNORE, ClassSet, classes_within
from bcpnet.metadata import Metadata
from bcpnet.networks import build
from bcpnet.networks.checkpoint import load_checkpoint, save_checkpoint
from bcpnet.networks.frames import normalise
from bcpnet.training import fit as fit_module
from bcpnet.training import soft_labels
from bcpnet.training.soft_labels import UNIT, put_right, read_soft_labels, write_soft_labels
from bcpnet.weights import resolve


@pytest.fixture
def teacher(tmp_path: Path) -> Path:
    """Trained on nothing, but certain of much: its head is scaled up. It looks at images of twice the size."""
    network = random_network("bcpnet", len(CLASSES))
    assert isinstance(network.head, nn.Conv2d)
    network.head.weight.data *= 20
    path = tmp_path / "teacher.safetensors"
    save_checkpoint(path, network, Metadata("bcpnet", {}, CLASSES, 64))
    return path


def _soft(teacher: str, images: Shades | Unlabelled, folder: Path, short_side: int = 32) -> npt.NDArray[np.float64]:
    write_soft_labels(teacher, images, short_side, folder / "soft.npy")
    return read_soft_labels(folder / "soft.npy", len(images), len(images.classes)) / UNIT


def _seen(network: nn.Module, pixels: npt.NDArray[np.uint8], size_hw: tuple[int, int]) -> npt.NDArray[np.float64]:
    """What a network of short side 64 sees at two sizes, the smaller one mirrored; Pillow makes them one size."""
    seen = []
    for short_side, turn in ((64, lambda image: image), (51, ImageOps.mirror)):
        size_wh = network_size_hw((pixels.shape[0], pixels.shape[1]), short_side)[::-1]
        frame = turn(Image.fromarray(pixels).resize(size_wh, Image.Resampling.BILINEAR))
        with torch.inference_mode():
            maps = network(normalise(torch.from_numpy(np.array(frame).transpose(2, 0, 1))[None])).softmax(1)[0].numpy()
        planes = [turn(Image.fromarray(plane)) for plane in maps]
        seen.append([np.asarray(plane.resize(size_hw[::-1], Image.Resampling.BILINEAR)) for plane in planes])
    return np.mean(seen, 0, dtype=np.float64)


@pytest.mark.parametrize(
    ("sizes_hw", "short_side", "size_hw"),
    [
        (((32, 48),), 32, (8, 12)),
        (((32, 48),), 64, (16, 24)),
        (((96, 80), (32, 48), (48, 32), (40, 40)), 32, (10, 8)),
    ],
)
def test_they_are_what_the_teacher_sees_at_two_sizes(
    sizes_hw: tuple[tuple[int, int], ...], short_side: int, size_hw: tuple[int, int], teacher: Path, tmp_path: Path
) -> None:
    """All of a quarter of the size that the first image has for the student."""
    train = Shades(4, sizes_hw)
    network, _ = load_checkpoint(teacher)
    soft = _soft(str(teacher), train, tmp_path, short_side=short_side)
    assert soft.shape == (4, 3, *size_hw)
    assert soft.std((2, 3)).max() > 0.1  # it sees something
    for sample, stored in zip(train.samples, soft, strict=True):
        assert np.abs(stored - _seen(network, sample.image, size_hw)).max() <= 0.5 / UNIT + 1e-3


def test_a_teacher_may_be_an_exported_one(tmp_path: Path, cache_folder: Path) -> None:
    del cache_folder  # where the fastest backend is remembered
    train = Shades(1)
    train.classes = CAMVID
    exported = resolve("camvid", ".onnx")
    difference = _soft(str(exported), train, tmp_path) - _soft("camvid", train, tmp_path)
    assert np.abs(difference).max() <= 1.01 / UNIT


def test_of_several_teachers_the_mean_counts(teacher: Path, tmp_path: Path) -> None:
    train, second = Shades(3), tmp_path / "second.safetensors"
    save_checkpoint(second, random_network("bcpnet", len(CLASSES), seed=1), Metadata("bcpnet", {}, CLASSES, 64))
    alone = [_soft(str(name), train, tmp_path) for name in (teacher, second)]
    assert np.abs(alone[0] - alone[1]).max() > 0.2
    assert np.abs(_soft(f"{teacher},{second}", train, tmp_path) - np.mean(alone, 0)).max() <= 1.01 / UNIT


def _finer(classes: ClassSet, finer: ClassSet, parts: list[list[int]], folder: Path) -> tuple[str, str]:
    """A teacher, and one that splits its classes: of each part it thinks an equal share of the whole; what is in no
    part it takes for impossible.
    """
    network, split = (random_network("bcpnet", len(each)) for each in (classes, finer))
    state = split.state_dict() | {key: v for key, v in network.state_dict().items() if not key.startswith("head.")}
    state["head.bias"].fill_(-1e9)
    for whole, ids in enumerate(parts):
        state["head.weight"][ids] = network.state_dict()["head.weight"][whole]
        state["head.bias"][ids] = network.state_dict()["head.bias"][whole] - math.log(len(ids))
    split.load_state_dict(state)
    paths = folder / "whole.safetensors", folder / "split.safetensors"
    for path, each, of in zip(paths, (network, split), (classes, finer), strict=True):
        save_checkpoint(path, each, Metadata("bcpnet", {}, of, 64))
    return str(paths[0]), str(paths[1])


def test_what_a_teacher_tells_apart_and_the_student_does_not_is_added_up(tmp_path: Path) -> None:
    """One for Cityscapes that is as sure of a class, in parts, as one for CamVid, teaches the same."""
    train = Shades(3)
    train.classes = CAMVID
    whole, split = _finer(CAMVID, CITYSCAPES, classes_within(CAMVID, CITYSCAPES), tmp_path)
    soft = _soft(whole, train, tmp_path)
    assert (soft.std((0, 2, 3)) > 0.01).sum() > 1
    assert np.abs(_soft(split, train, tmp_path) - soft).max() <= 1.01 / UNIT


def test_a_teachers_classes_are_known_by_name(tmp_path: Path) -> None:
    """In another order, among others that its student has never heard of."""
    train = Shades(3)
    finer = ClassSet("finer", ("none", "light", "dark", "nothing", "grey"), ((0, 0, 0),) * 5)
    whole, split = _finer(CLASSES, finer, [[2], [4], [1]], tmp_path)
    assert np.abs(_soft(split, train, tmp_path) - _soft(whole, train, tmp_path)).max() <= 1.01 / UNIT


def test_what_the_student_does_not_know_is_left_out(teacher: Path, tmp_path: Path) -> None:
    """The rest of a teacher's probabilities is what it thinks of where it must choose among the student's classes."""
    train = Shades(3)
    train.classes = ClassSet("two", CLASSES.names[1:], CLASSES.colours[1:])
    network, _ = load_checkpoint(teacher)
    for sample, stored in zip(train.samples, _soft(str(teacher), train, tmp_path), strict=True):
        known = _seen(network, sample.image, (8, 12))[1:]
        clear = known.sum(0) > 0.05  # an error of a sum grows as it is divided by
        sums = stored.sum(0)
        assert np.abs(sums - 1)[clear].max() <= 1.01 / UNIT
        assert 0 <= sums.min() <= sums.max() <= 1 + 1.01 / UNIT  # 0 where it is certain of something else
        assert np.abs(stored - known / known.sum(0).clip(0.05))[:, clear].max() <= 0.5 / UNIT + 1e-3 / 0.05


def _folder(root: Path, images: Shades, coarse: dict[int, npt.NDArray[np.uint8]] | None = None) -> Unlabelled:
    """The images as files, in their order, and coarse labels of some."""
    for index, sample in enumerate(images.samples):
        save(sample.image, root / "images" / f"{index:03}.png")
    for index, ids in (coarse or {}).items():
        save(ids, root / "labels" / f"{index:03}.png")
    return Unlabelled(root, images.classes)


def test_a_folder_is_taught_as_a_split(teacher: Path, tmp_path: Path) -> None:
    split = Shades(5, ((32, 48), (48, 48), (40, 32)))
    soft = _soft(str(teacher), _folder(tmp_path / "streets", split), tmp_path)
    assert np.array_equal(soft, _soft(str(teacher), split, tmp_path))


def _put_right(
    probabilities: npt.NDArray[np.float64], possible: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """The same for K h w and K h w, pixel by pixel, and how much of each pixel was possible."""
    right, masses = np.zeros_like(probabilities), np.zeros(probabilities.shape[1:])
    for place in np.ndindex(*masses.shape):
        allowed = [k for k in range(len(right)) if possible[(k, *place)]]
        masses[place] = sum(probabilities[(k, *place)] for k in allowed)
        for k in allowed:
            right[(k, *place)] = probabilities[(k, *place)] / masses[place] if masses[place] >= 0.2 else 0
    return right, masses


@given(
    classes=st.integers(1, 6), size_hw=st.tuples(st.integers(1, 6), st.integers(1, 6)), stride=st.integers(1, 4),
    share=st.floats(0, 1), seed=st.integers(0, 1000),
)  # fmt: skip
def test_what_is_impossible_is_put_right(
    classes: int, size_hw: tuple[int, int], stride: int, share: float, seed: int
) -> None:
    """Where a coarse label is the same all over a soft label's pixel."""
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet([0.3] * classes, size_hw).transpose(2, 0, 1)
    possible = rng.random((classes, *size_hw)) < share
    finer = torch.from_numpy(possible.repeat(stride, 1).repeat(stride, 2))
    result = put_right(torch.from_numpy(probabilities).float(), finer).numpy()
    expected, masses = _put_right(probabilities, possible)
    clear = np.abs(masses - 0.2) > 1e-5
    assert np.abs(result - expected)[:, clear].max(initial=0) < 1e-5
    assert not result[~possible].any()
    sums = result.sum(0)
    assert np.minimum(np.abs(sums), np.abs(sums - 1)).max() < 1e-5


def test_where_all_is_possible_the_teacher_is_right() -> None:
    probabilities = torch.randn(4, 5, 7, generator=torch.Generator().manual_seed(0)).softmax(0)
    torch.testing.assert_close(put_right(probabilities, torch.ones(4, 20, 28, dtype=torch.bool)), probabilities)


def test_a_mirrored_coarse_label_puts_right_what_is_mirrored() -> None:
    generator = torch.Generator().manual_seed(0)
    probabilities = torch.randn(4, 6, 8, generator=generator).softmax(0)
    possible = torch.rand(4, 18, 24, generator=generator) < 0.5
    mirrored = put_right(probabilities.flip(1, 2), possible.flip(1, 2)).flip(1, 2)
    torch.testing.assert_close(mirrored, put_right(probabilities, possible))


def test_a_coarse_label_bounds_what_its_image_teaches(tmp_path: Path) -> None:
    """An image that has none is taught as the teacher sees it."""
    path, network = tmp_path / "camvid.safetensors", random_network("bcpnet", 11)
    assert isinstance(network.head, nn.Conv2d)
    network.head.weight.data *= 0.01  # in doubt, so that much of what it thinks is possible
    save_checkpoint(path, network, Metadata("bcpnet", {}, CAMVID, 64))
    others = Shades(3, seed=1)
    others.classes = CAMVID
    # Groups of IDD-Lite in squares of eight pixels, two by two soft labels each; 255 says nothing.
    groups = np.random.default_rng(0).choice([0, 1, 2, 3, 4, 5, 6, 255], (4, 6)).astype(np.uint8)
    coarse = groups.repeat(8, 0).repeat(8, 1)
    free = _soft(str(path), _folder(tmp_path / "free", others), tmp_path)
    folder = _folder(tmp_path / "bound", others, {1: coarse})
    bound = _soft(str(path), folder, tmp_path)
    alike = [0, 2]
    assert np.array_equal(bound[alike], free[alike])
    possible = folder.possible(1)
    assert possible is not None
    allowed = possible[:, ::4, ::4]
    expected, masses = _put_right(free[1], allowed)
    rounding = 0.5 / UNIT * (1 + (1 + allowed.sum(0)) / masses.clip(0.2))  # of what was stored, and of it when divided
    clear = np.abs(masses - 0.2) > rounding
    assert (np.abs(bound[1] - expected) <= rounding + 1e-6)[:, clear].all()
    assert not bound[1][~allowed].any()
    sums = bound[1].sum(0)
    assert min((sums == 0).sum(), ((sums > 0.9) & ~allowed.all(0)).sum()) > 10  # either came about


def test_a_mirrored_street_has_mirrored_soft_labels(
    teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it is mirrored for the teacher if the other was not."""
    train, mirrored = Shades(3), Shades(3)
    mirrored.samples = [sample._replace(image=np.ascontiguousarray(sample.image[:, ::-1])) for sample in train.samples]
    soft = _soft(str(teacher), train, tmp_path)
    monkeypatch.setattr(soft_labels, "_LOOKS", [(factor, not turned) for factor, turned in soft_labels._LOOKS])
    assert np.abs(soft - _soft(str(teacher), mirrored, tmp_path)[..., ::-1]).max() <= 1.01 / UNIT


@pytest.mark.parametrize("unlabelled", [False, True], ids=["split", "folder"])
def test_a_student_learns_from_soft_labels_alone(
    unlabelled: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No pixel is labelled: a teacher that knows dark from light is all there is to learn from. It may know so of the
    images of a folder alone, and of the split nothing.
    """
    bare = Shades(16)
    bare.samples = [sample._replace(label=np.full_like(sample.label, IGNORE)) for sample in bare.samples]
    known = np.stack([np.eye(3, dtype=np.uint8)[sample.label] * UNIT for sample in Shades(16, ignored=0).samples])
    folder = {}
    if unlabelled:
        _folder(tmp_path / "streets", bare)
        bare = Shades(4, seed=2)
        bare.samples = [sample._replace(label=np.full_like(sample.label, IGNORE)) for sample in bare.samples]
        folder = {"unlabelled": str(tmp_path / "streets"), "unlabelled_batch": 3, "epochs": 10}

    def write(teacher: str, images: Shades | Unlabelled, short_side: int, path: Path) -> None:
        del teacher, short_side
        assert len(known) == len(images)
        path.parent.mkdir(exist_ok=True)
        np.save(path, np.ascontiguousarray(known.transpose(0, 3, 1, 2)))

    monkeypatch.setattr(soft_labels, "write_soft_labels", write)
    run = tmp_path / "run"
    recipe = tiny_recipe(teacher="known", epochs=10, optimizer="adamw", lr=1e-2)
    fit_module.fit(replace(recipe, **folder), bare, None, run, accelerator="cpu")
    network, metadata = load_checkpoint(run / "last.safetensors")
    assert ("streets without labels, teacher known" if unlabelled else "teacher known") in metadata.provenance
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
    with pytest.raises(UsageError, match="unknown weights 'nobody'"):
        write_soft_labels("nobody", Shades(3), 32, path)
    save_checkpoint(teacher, build("bcpnet", 11), Metadata("bcpnet", {}, CAMVID, 64))
    with pytest.raises(InputError, match=r"its classes \(camvid\) are not those of the training data"):
        write_soft_labels(str(teacher), Shades(3), 32, path)
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
        InputError, match=r"soft\.npy: (cannot read: No such file|not soft labels|not the soft labels of this run's 5)"
    ):
        read_soft_labels(path, 5, 3)
