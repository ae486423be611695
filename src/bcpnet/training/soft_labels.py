"""Soft labels: a teacher's class probabilities for every training image, computed once per run and kept on disk.

Once is enough: augmentation cuts them like labels (`augment.warp_soft`), so a step costs little more than without.
"""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from lightning_fabric import Fabric
from torch import Tensor

from bcpnet.backends import open_backend
from bcpnet.backends.base import Backend
from bcpnet.data.base import Dataset
from bcpnet.data.seen import UNKNOWN
from bcpnet.data.unlabelled import Unlabelled
from bcpnet.errors import InputError
from bcpnet.frames.preprocess import network_size_hw, preprocess
from bcpnet.labels import ClassSet, classes_within
from bcpnet.storage.damaged import damage_told
from bcpnet.storage.files import atomic_path, write_bytes
from bcpnet.training.recipe import Recipe

UNIT = 255  # the uint8 that stands for probability 1
_LEAST_POSSIBLE = 0.2  # of the teacher's probability; below, it has seen something else there
_LOOKS = ((1.0, False), (0.8, True))  # factor of the teacher's own short side; mirrored
_STRIDE = 4


def write_soft_labels(teacher: str, images: Dataset, short_side: int, path: Path) -> None:
    """Runs a teacher over images and writes what it sees to an .npy file, whole or not at all.

    Args:
        teacher: weights that ship, by name, or a file that bcpnet wrote: .safetensors runs in PyTorch, .onnx in the
            fastest backend here. Several with commas between. Each sees every image in two sizes, once mirrored
            (`_LOOKS`), and the mean of all counts: a better teacher for no training.
        images: a split, or images without labels. Where a coarse label of those contradicts the teacher, what it allows
            is what counts, or nothing if that is next to nothing.
        short_side: short side of the student's images, in pixels.
        path: file for N x K x h x w uint8, probabilities in units of 1 / UNIT. All have a quarter of the size that the
            first image has for the student; images of another aspect are squeezed. Beside it, as .json, goes what the
            teachers were trained on.

    Raises:
        UsageError: no weights of that name.
        InputError: a teacher of other classes, a broken sample, a file that cannot be written.
    """
    teachers = [_load(name, images.classes) for name in teacher.split(",")]
    first = images[0].image
    height, width = network_size_hw((first.shape[0], first.shape[1]), short_side)
    size_hw = (height // _STRIDE, width // _STRIDE)
    header = {"descr": "|u1", "fortran_order": False, "shape": (len(images), len(images.classes), *size_hw)}
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        # Written as a file: a memory map would crash where the disk is full.
        np.lib.format.write_array_header_1_0(file, header)
        for index in range(len(images)):
            sample = images[index]
            seen = _mean_probabilities(teachers, sample.image, size_hw)
            possible = images.possible(index) if isinstance(images, Unlabelled) else None
            if possible is not None:
                if possible.shape[1:] != sample.image.shape[:2]:
                    raise InputError(f"{sample.name}: its coarse label has another size")
                seen = put_right(seen, torch.from_numpy(possible))
            file.write((seen * UNIT).round().byte().numpy().tobytes())
    known = {split for each in teachers for split in each.backend.metadata.trained_on or (UNKNOWN,)}
    write_bytes(path.with_suffix(".json"), json.dumps({"trained_on": sorted(known)}).encode())


def put_right(probabilities: Tensor, possible: Tensor) -> Tensor:
    """Probabilities K h w within what is `possible`, K H W bool: renormalised, or 0 where too little of them is."""
    allowed = F.interpolate(possible[None].float(), size=probabilities.shape[1:], mode="nearest-exact")[0]
    kept = probabilities * allowed
    mass = kept.sum(0)
    return torch.where(mass < _LEAST_POSSIBLE, 0.0, kept / mass.clamp(min=_LEAST_POSSIBLE))


class _Teacher(NamedTuple):
    """A teacher, and for each class of the student its own classes that mean it."""

    backend: Backend
    within: list[list[int]]


def _load(name: str, classes: ClassSet) -> _Teacher:
    backend = open_backend(name, "auto" if Path(name).suffix.lower() == ".onnx" else "pytorch")
    within = classes_within(classes, backend.metadata.classes)
    if not all(within):
        raise InputError(
            f"teacher {name}: its classes ({backend.metadata.classes.name}) are not those of the training data"
        )
    return _Teacher(backend, within)


def _mean_probabilities(teachers: list[_Teacher], image: npt.NDArray[np.uint8], size_hw: tuple[int, int]) -> Tensor:
    """K h w: what the teachers see in an image at their own sizes and beyond."""
    seen: list[Tensor] = []
    for (backend, within), (factor, mirrored) in product(teachers, _LOOKS):
        short_side = round(factor * backend.metadata.short_side)
        frame = preprocess(image, network_size_hw((image.shape[0], image.shape[1]), short_side))
        logits = torch.from_numpy(backend(np.ascontiguousarray(frame[:, ::-1] if mirrored else frame)[None]))
        own = F.interpolate(logits.softmax(1), size=size_hw, mode="bilinear", antialias=True)[0]
        probabilities = torch.stack([own[ids].sum(0) for ids in within])
        seen.append(probabilities.flip(2) if mirrored else probabilities)
    mean = torch.stack(seen).mean(0)
    return mean / mean.sum(0).clamp(min=1e-6)  # a teacher may know classes that the student does not


def read_soft_labels(path: Path, samples: int, classes: int) -> npt.NDArray[np.uint8]:
    """What `write_soft_labels` wrote of so many samples and classes, read as it is used.

    Raises InputError for any other file.
    """
    with damage_told(path, "numpy", "not soft labels"):
        soft: npt.NDArray[np.uint8] = np.load(path, mmap_mode="r")
    if soft.dtype != np.uint8 or soft.ndim != 4 or soft.shape[:2] != (samples, classes):
        raise InputError(f"{path}: not the soft labels of this run's {samples} images and {classes} classes")
    return soft


def soft_labels_of(
    fabric: Fabric, recipe: Recipe, images: Dataset, path: Path, resume: bool
) -> npt.NDArray[np.uint8] | None:
    """A run's soft labels, in file `path`: of a resumed run as they are, else by its teacher; None without one.

    Raises as `write_soft_labels` and `read_soft_labels`.
    """
    if recipe.teacher == "none":
        return None
    if recipe.teacher.endswith(".npy"):
        path = Path(recipe.teacher)
    elif fabric.is_global_zero and not (resume and path.exists()):
        tf32 = torch.backends.cudnn.allow_tf32  # which the teachers' backend switches off
        write_soft_labels(recipe.teacher, images, recipe.short_side, path)
        torch.backends.cudnn.allow_tf32 = tf32
    fabric.barrier()
    return read_soft_labels(path, len(images), len(images.classes))
