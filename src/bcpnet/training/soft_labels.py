"""Soft labels: a teacher's class probabilities for every training image, computed once per run and kept on disk.

Once is enough: augmentation cuts them like labels (`augment.warp_soft`), so a step costs little more than without.
"""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bcpnet.checkpoint import load_checkpoint
from bcpnet.data.base import Dataset
from bcpnet.errors import InputError
from bcpnet.files import atomic_path
from bcpnet.labels import ClassSet
from bcpnet.networks.frames import normalise
from bcpnet.preprocess import network_size_hw, preprocess
from bcpnet.weights import resolve

UNIT = 255  # the uint8 that stands for probability 1
_FACTORS = (1.0, 0.8, 4 / 3)  # of the teacher's own short side; the first sets the size of the soft labels


def write_soft_labels(teacher: str, train: Dataset, path: Path, device: torch.device) -> None:
    """Runs a teacher over a split and writes what it sees to an .npy file, whole or not at all.

    Args:
        teacher: weights that ship, by name, or a .safetensors file that bcpnet wrote; several with commas between.
            Each sees every image at its own `short_side` and two sizes around, mirrored too, and the mean of all
            counts: a better teacher for no training.
        train: the split, its images of one size.
        path: file for N x K x h x w uint8, probabilities in units of 1 / UNIT at the stride of the teacher's logits.
        device: where the teacher runs.

    Raises:
        UsageError: no weights of that name.
        InputError: a teacher of other classes, images of several sizes, a broken sample, a file that cannot be written.
    """
    teachers = [_load(name, train.classes, device) for name in teacher.split(",")]
    size_hw = None
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        for index in range(len(train)):
            sample = train[index]
            image_hw = (sample.image.shape[0], sample.image.shape[1])
            probabilities = _mean_probabilities(teachers, sample.image, device)
            if size_hw is None:
                size_hw = image_hw
                shape = (len(train), *probabilities.shape)
                # Written as a file: a memory map would crash where the disk is full.
                np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
            if image_hw != size_hw:
                raise InputError(
                    f"{sample.name}: {image_hw[0]}x{image_hw[1]} pixels, others have {size_hw[0]}x{size_hw[1]}: "
                    "a teacher needs images of one size"
                )
            file.write((probabilities * UNIT).round().byte().cpu().numpy().tobytes())


def _load(name: str, classes: ClassSet, device: torch.device) -> tuple[nn.Module, int]:
    """A teacher and its short side."""
    network, metadata = load_checkpoint(resolve(name, ".safetensors"))
    if metadata.classes.names != classes.names:
        raise InputError(f"teacher {name}: its classes ({metadata.classes.name}) are not those of the training data")
    return network.to(device), metadata.short_side


@torch.inference_mode()
def _mean_probabilities(
    teachers: list[tuple[nn.Module, int]], image: npt.NDArray[np.uint8], device: torch.device
) -> Tensor:
    """K h w: what the teachers see in an image at several sizes, as it is and mirrored."""
    seen: list[Tensor] = []
    for (network, short_side), factor in product(teachers, _FACTORS):
        size_hw = network_size_hw((image.shape[0], image.shape[1]), round(factor * short_side))
        frame = normalise(torch.from_numpy(preprocess(image, size_hw)).to(device).permute(2, 0, 1)[None])
        for probabilities in (network(frame).softmax(1), network(frame.flip(3)).softmax(1).flip(3)):
            size = (seen or [probabilities])[0].shape[-2:]
            seen.append(F.interpolate(probabilities.float(), size=size, mode="bilinear", align_corners=False))
    return torch.stack(seen).mean(0)[0]


def read_soft_labels(path: Path, samples: int) -> npt.NDArray[np.uint8]:
    """What `write_soft_labels` wrote of so many samples, read as it is used. Raises InputError for any other file."""
    try:
        soft: npt.NDArray[np.uint8] = np.load(path, mmap_mode="r")
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{path}: soft labels cannot be read: {error}") from error
    if soft.dtype != np.uint8 or soft.ndim != 4 or len(soft) != samples:
        raise InputError(f"{path}: not the soft labels of this run's {samples} images")
    return soft
