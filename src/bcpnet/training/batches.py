"""Batches for training: which samples each step sees is a function of (seed, step), so a run resumes exactly."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Sampler
from torch.utils.data import Dataset as TorchDataset

from bcpnet.data.base import Dataset, Sample
from bcpnet.errors import InputError
from bcpnet.labels import IGNORE
from bcpnet.preprocess import MEAN, network_size_hw
from bcpnet.training.interrupts import leave_to_parent

_MEMORY_BYTES = 4 << 30  # a split that needs less is decoded once and kept


class RunSampler(Sampler[list[int]]):
    """The micro-batches of a whole run on one device, from any step on."""

    def __init__(
        self, samples: int, batch: int, micro_batch: int, steps: range, seed: int, rank: int = 0, world: int = 1
    ) -> None:
        """`batch` images a step are dealt to `world` devices, this one being `rank`."""
        self.samples, self.batch, self.micro_batch = samples, batch, micro_batch
        self.steps, self.seed, self.rank, self.world = steps, seed, rank, world

    def of_step(self, step: int) -> list[int]:
        """Sample indices of `step`, over all devices: its part of the epoch's permutation."""
        per_epoch = steps_per_epoch(self.samples, self.batch)
        generator = torch.Generator().manual_seed(mix(self.seed, step // per_epoch))
        order = torch.randperm(self.samples, generator=generator).tolist()
        start = step % per_epoch * self.batch
        return [order[index % self.samples] for index in range(start, start + self.batch)]

    def __iter__(self) -> Iterator[list[int]]:
        """Yields batch / (micro_batch * world) lists of micro_batch indices for each step."""
        for step in self.steps:
            own = self.of_step(step)[self.rank :: self.world]
            for start in range(0, len(own), self.micro_batch):
                yield own[start : start + self.micro_batch]


def steps_per_epoch(samples: int, batch: int) -> int:
    """Optimizer steps per pass; what does not fill a batch is left out (another permutation leaves out others)."""
    return max(1, samples // batch)


def mix(*numbers: int) -> int:
    """One seed from several numbers; other numbers give an unrelated seed (but zeros at the end do not count)."""
    return int(np.random.SeedSequence([number % (1 << 63) for number in numbers]).generate_state(1, np.uint64)[0] >> 1)


def label_of(sample: Sample, num_classes: int) -> npt.NDArray[np.uint8]:
    """The label of `sample`. Raises InputError if it has none, or one with values that are no class."""
    if sample.label is None:
        raise InputError(f"{sample.name}: has no label")
    wrong = sample.label[(sample.label >= num_classes) & (sample.label != IGNORE)]
    if wrong.size:
        raise InputError(
            f"{sample.name}: label value {wrong[0]}: the classes are 0 to {num_classes - 1}, {IGNORE} is ignored"
        )
    return sample.label


def resized(
    image: npt.NDArray[np.uint8], label: npt.NDArray[np.uint8], short_side: int
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Image (bilinear) and label (nearest) at the size that evaluation and prediction will feed the network."""
    size_hw = network_size_hw((image.shape[0], image.shape[1]), short_side)
    if image.shape[:2] == size_hw:
        return image, label
    size_wh = (size_hw[1], size_hw[0])
    return (
        np.asarray(Image.fromarray(image).resize(size_wh, Image.Resampling.BILINEAR)),
        np.asarray(Image.fromarray(label).resize(size_wh, Image.Resampling.NEAREST)),
    )


class Batch(NamedTuple):
    """One sample or several, then with a dimension N in front.

    Attributes:
        images: 3 H W uint8.
        labels: H W uint8.
        soft: K h w uint8 soft labels, or None (see `soft_labels`).
    """

    images: Tensor
    labels: Tensor
    soft: Tensor | None

    def to(self, device: torch.device) -> Batch:
        """On `device`, to which it may still be on its way."""
        soft = None if self.soft is None else self.soft.to(device, non_blocking=True)
        return Batch(self.images.to(device, non_blocking=True), self.labels.to(device, non_blocking=True), soft)


class TorchSamples(TorchDataset[Batch]):
    """A dataset's samples as tensors."""

    def __init__(self, dataset: Dataset, short_side: int, soft: npt.NDArray[np.uint8] | None = None) -> None:
        """Reads lazily. `soft` are soft labels in the dataset's order, N K h w. InputError for an empty split."""
        if len(dataset) == 0:
            raise InputError("the training split is empty")
        self.dataset, self.short_side, self.soft = dataset, short_side, soft

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.dataset)

    def __getitem__(self, index: int) -> Batch:
        """Decodes and resizes one sample. Raises InputError for a broken file or a wrong label."""
        sample = self.dataset[index]
        image, label = resized(sample.image, label_of(sample, len(self.dataset.classes)), self.short_side)
        soft = None if self.soft is None else torch.from_numpy(np.array(self.soft[index]))
        pixels = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))
        return Batch(pixels, torch.from_numpy(np.array(label)), soft)


class _Handed(TorchDataset["Batch | InputError"]):
    """Samples for another process; there an error is handed over as a value, for DataLoader would add its traceback."""

    def __init__(self, samples: TorchSamples) -> None:
        self.samples = samples

    def __getitem__(self, index: int) -> Batch | InputError:
        try:
            return self.samples[index]
        except InputError as error:
            return error


def _collate_handed(samples: list[Batch | InputError]) -> Batch | InputError:
    whole = []
    for sample in samples:
        if isinstance(sample, InputError):
            return sample
        whole.append(sample)
    return collate(whole)


def collate(samples: list[Batch]) -> Batch:
    """Stacks samples, padded right and below to the largest: images with the mean, labels with IGNORE."""
    height = max(image.shape[1] for image, _, _ in samples)
    width = max(image.shape[2] for image, _, _ in samples)
    device = samples[0].images.device
    images = torch.full((len(samples), 3, height, width), int(MEAN), dtype=torch.uint8, device=device)
    labels = torch.full((len(samples), height, width), IGNORE, dtype=torch.uint8, device=device)
    for row, (image, label, _) in enumerate(samples):
        images[row, :, : image.shape[1], : image.shape[2]] = image
        labels[row, : label.shape[0], : label.shape[1]] = label
    soft = [sample.soft for sample in samples if sample.soft is not None]
    return Batch(images, labels, torch.stack(soft) if soft else None)


class Batches:
    """Feeds a run. A split that fits in memory is decoded once and kept on the device; else processes read ahead."""

    def __init__(
        self,
        dataset: Dataset,
        short_side: int,
        device: torch.device,
        workers: int,
        soft: npt.NDArray[np.uint8] | None = None,
    ) -> None:
        """Reads the whole split if it fits. Raises InputError for an empty split or a broken sample."""
        self.samples = TorchSamples(dataset, short_side, soft)
        self.device, self.workers = device, workers
        self._kept: list[Batch] | None = None
        if sum(tensor.numel() for tensor in self.samples[0] if tensor is not None) * len(dataset) <= _MEMORY_BYTES:
            self._kept = [self.samples[index].to(device) for index in range(len(dataset))]

    def pixels_per_class(self) -> Tensor:
        """K int64 counts over the split. Reads it once where it is not kept."""
        counts = torch.zeros(256, dtype=torch.int64)
        for sample in self._kept or (self.samples[index] for index in range(len(self.samples))):
            counts += torch.bincount(sample.labels.flatten(), minlength=256).cpu()
        return counts[: len(self.samples.dataset.classes)]

    def run(self, sampler: RunSampler) -> Iterator[Batch]:
        """Batches on the device, one for each list of `sampler`. Raises InputError as reading."""
        if self._kept is not None:
            for indices in sampler:
                yield collate([self._kept[index] for index in indices])
            return
        loader = DataLoader(
            _Handed(self.samples),
            batch_sampler=sampler,
            num_workers=self.workers,
            collate_fn=_collate_handed,
            pin_memory=self.device.type == "cuda",
            worker_init_fn=_start_worker,
            generator=torch.Generator(),  # else it draws from the global one, and a resumed run would differ
        )
        for batch in loader:
            if isinstance(batch, InputError):
                raise batch
            yield batch.to(self.device)


def _start_worker(worker: int) -> None:
    del worker
    leave_to_parent()
