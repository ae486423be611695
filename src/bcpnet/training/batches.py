"""Batches for training: which samples each step sees is a function of (seed, step), so a run resumes exactly."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Sampler
from torch.utils.data import Dataset as TorchDataset

from bcpnet.data.base import Dataset, Sample
from bcpnet.errors import InputError
from bcpnet.labels import IGNORE
from bcpnet.preprocess import MEAN, network_size_hw

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
    """One seed from several numbers; different numbers give unrelated seeds."""
    return int(np.random.SeedSequence([number % (1 << 63) for number in numbers]).generate_state(1, np.uint64)[0] >> 1)


def resized(sample: Sample, short_side: int) -> Sample:
    """`sample` at the size that evaluation and prediction will feed the network: image bilinear, label nearest."""
    size_hw = network_size_hw((sample.image.shape[0], sample.image.shape[1]), short_side)
    if sample.label is None:
        raise InputError(f"{sample.name}: has no label, cannot train on it")
    if sample.image.shape[:2] == size_hw:
        return sample
    size_wh = (size_hw[1], size_hw[0])
    image = Image.fromarray(sample.image).resize(size_wh, Image.Resampling.BILINEAR)
    label = Image.fromarray(sample.label).resize(size_wh, Image.Resampling.NEAREST)
    return Sample(np.asarray(image), np.asarray(label), sample.name)


class TorchSamples(TorchDataset[tuple[Tensor, Tensor]]):
    """A dataset's samples as tensors: 3 H W uint8 and H W uint8."""

    def __init__(self, dataset: Dataset, short_side: int) -> None:
        """Reads lazily."""
        self.dataset, self.short_side = dataset, short_side

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.dataset)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Decodes and resizes one sample."""
        sample = resized(self.dataset[index], self.short_side)
        image = torch.from_numpy(np.ascontiguousarray(sample.image.transpose(2, 0, 1)))
        return image, torch.from_numpy(np.array(sample.label))


def collate(samples: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """Stacks samples, padded right and below to the largest: images with the mean, labels with IGNORE."""
    height = max(image.shape[1] for image, _ in samples)
    width = max(image.shape[2] for image, _ in samples)
    images = torch.full((len(samples), 3, height, width), int(MEAN), dtype=torch.uint8)
    labels = torch.full((len(samples), height, width), IGNORE, dtype=torch.uint8)
    for row, (image, label) in enumerate(samples):
        images[row, :, : image.shape[1], : image.shape[2]] = image
        labels[row, : label.shape[0], : label.shape[1]] = label
    return images, labels


class Batches:
    """Feeds a run. A split that fits in memory is decoded once and kept on the device; else processes read ahead."""

    def __init__(self, dataset: Dataset, short_side: int, device: torch.device, workers: int) -> None:
        """Reads the whole split if it fits. Raises InputError for an empty split or a broken sample."""
        if len(dataset) == 0:
            raise InputError("the training split is empty")
        self.samples = TorchSamples(dataset, short_side)
        self.device, self.workers = device, workers
        self._kept: tuple[Tensor, Tensor] | None = None
        first = self.samples[0][0]
        if (first.numel() * 4 // 3) * len(dataset) <= _MEMORY_BYTES:
            images, labels = collate([self.samples[index] for index in range(len(dataset))])
            self._kept = images.to(device), labels.to(device)

    def pixels_per_class(self, classes: int) -> Tensor:
        """K int64 counts over the split."""
        if self._kept is not None:
            return torch.bincount(self._kept[1].flatten().cpu(), minlength=256)[:classes]
        counts = torch.zeros(256, dtype=torch.int64)
        for index in range(len(self.samples)):
            counts += torch.bincount(self.samples[index][1].flatten(), minlength=256)
        return counts[:classes]

    def run(self, sampler: RunSampler) -> Iterator[tuple[Tensor, Tensor]]:
        """N 3 H W and N H W uint8 on the device, one pair for each list of `sampler`."""
        if self._kept is not None:
            images, labels = self._kept
            for indices in sampler:
                yield images[indices], labels[indices]
            return
        loader = DataLoader(
            self.samples,
            batch_sampler=sampler,
            num_workers=self.workers,
            collate_fn=collate,
            pin_memory=self.device.type == "cuda",
            worker_init_fn=_ignore_interrupt,
        )
        for images, labels in loader:
            yield images.to(self.device, non_blocking=True), labels.to(self.device, non_blocking=True)


def _ignore_interrupt(worker: int) -> None:
    """Ctrl-C reaches every process of the terminal; the main one saves and ends the rest."""
    del worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)
