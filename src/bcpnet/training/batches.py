"""Batches for training: which samples each step sees is a function of (seed, step), so a run resumes exactly."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing, nullcontext
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from bcpnet.data.base import Dataset, Sample
from bcpnet.errors import InputError
from bcpnet.frames.preprocess import network_size_hw
from bcpnet.labels import IGNORE
from bcpnet.pipeline import ordered_map

_MEMORY_BYTES = 4 << 30  # what needs less is decoded once and kept


class RunSampler:
    """The micro-batches of a whole run on one device, from any step on."""

    def __init__(
        self, samples: int, batch: int, micro_batch: int, steps: range, seed: int, rank: int = 0, world: int = 1,
        *, unlabelled: int = 0, unlabelled_batch: int = 0,
    ) -> None:  # fmt: skip
        """`batch` images a step are dealt to `world` devices, this one being `rank`.

        `unlabelled_batch` of them are of the `unlabelled` samples, whose indices follow those of the `samples`.
        """
        self.samples, self.batch, self.micro_batch = samples, batch, micro_batch
        self.steps, self.seed, self.rank, self.world = steps, seed, rank, world
        self.unlabelled, self.unlabelled_batch = unlabelled, unlabelled_batch

    def of_step(self, step: int) -> list[int]:
        """Sample indices of `step`, over all devices: its part of the epoch's permutation; both kinds well mixed."""
        labelled = _of_step(step, self.samples, self.batch - self.unlabelled_batch, self.seed)
        if not self.unlabelled_batch:
            return labelled
        others = _of_step(step, self.unlabelled, self.unlabelled_batch, mix(self.seed, 1))
        places = [(rank + 0.5) / len(part) for part in (labelled, others) for rank in range(len(part))]
        indices = labelled + [self.samples + index for index in others]
        return [index for _, index in sorted(zip(places, indices, strict=True))]

    def __iter__(self) -> Iterator[list[int]]:
        """Yields batch / (micro_batch * world) lists of micro_batch indices for each step."""
        share = self.batch // self.world
        for step in self.steps:
            own = self.of_step(step)[self.rank * share : (self.rank + 1) * share]
            for start in range(0, len(own), self.micro_batch):
                yield own[start : start + self.micro_batch]


def _of_step(step: int, samples: int, batch: int, seed: int) -> list[int]:
    """The `batch` of `samples` that `step` sees: its part of the epoch's permutation."""
    per_epoch = steps_per_epoch(samples, batch)
    generator = torch.Generator().manual_seed(mix(seed, step // per_epoch))
    order = torch.randperm(samples, generator=generator).tolist()
    start = step % per_epoch * batch
    return [order[index % samples] for index in range(start, start + batch)]


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


def shrunk(
    image: npt.NDArray[np.uint8], label: npt.NDArray[np.uint8], short_side: int
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Image (bilinear) and label (nearest), no larger than evaluation and prediction will feed the network.

    Smaller ones stay: cutting a crop enlarges them, once.
    """
    size_hw = network_size_hw((image.shape[0], image.shape[1]), short_side)
    if min(image.shape[:2]) <= short_side:
        return image, label
    size_wh = (size_hw[1], size_hw[0])
    return (
        np.asarray(Image.fromarray(image).resize(size_wh, Image.Resampling.BILINEAR)),
        np.asarray(Image.fromarray(label).resize(size_wh, Image.Resampling.NEAREST)),
    )


class Example(NamedTuple):
    """One sample as tensors.

    Attributes:
        image: 3 H W uint8.
        label: H W uint8; IGNORE everywhere where the sample has none.
        soft: K h w uint8 soft labels, or None (see `soft_labels`).
    """

    image: Tensor
    label: Tensor
    soft: Tensor | None

    def to(self, device: torch.device) -> Example:
        """On `device`, to which it may still be on its way."""
        soft = None if self.soft is None else self.soft.to(device, non_blocking=True)
        return Example(self.image.to(device, non_blocking=True), self.label.to(device, non_blocking=True), soft)

    def pinned(self) -> Example:
        """In memory that a GPU copies from by itself."""
        soft = None if self.soft is None else self.soft.pin_memory()
        return Example(self.image.pin_memory(), self.label.pin_memory(), soft)


class Examples:
    """A dataset's samples as tensors, those of a second one without labels behind them."""

    def __init__(
        self,
        dataset: Dataset,
        short_side: int,
        soft: npt.NDArray[np.uint8] | None = None,
        unlabelled: Dataset | None = None,
    ) -> None:
        """Reads lazily. InputError for an empty split.

        `soft` are soft labels, N K h w: of the unlabelled samples where there are any, else of the split.
        """
        if len(dataset) == 0:
            raise InputError("the training split is empty")
        self.dataset, self.short_side, self.soft, self.unlabelled = dataset, short_side, soft, unlabelled

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.dataset) + (0 if self.unlabelled is None else len(self.unlabelled))

    def __getitem__(self, index: int) -> Example:
        """Decodes one sample. Raises InputError for a broken file or a wrong label."""
        if index < len(self.dataset) or self.unlabelled is None:
            sample = self.dataset[index]
            label = label_of(sample, len(self.dataset.classes))
        else:
            sample = self.unlabelled[index - len(self.dataset)]
            label = np.full(sample.image.shape[:2], IGNORE, np.uint8)
        image, label = shrunk(sample.image, label, self.short_side)
        pixels = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))
        return Example(pixels, torch.from_numpy(np.array(label)), self._soft_of(index))

    def _soft_of(self, index: int) -> Tensor | None:
        """The soft label of a sample; all 0, which does not count, where it has none and others do."""
        if self.soft is None:
            return None
        before = len(self) - len(self.soft)
        return torch.from_numpy(np.array(self.soft[index - before]) if index >= before else np.zeros_like(self.soft[0]))


class Batches:
    """Feeds a run. What fits in memory is decoded once and kept on the device; else threads read ahead."""

    def __init__(self, examples: Examples, device: torch.device, workers: int) -> None:
        """Reads all examples if they fit; else so many `workers` will. Raises InputError for a broken sample."""
        self.examples, self.device, self.workers = examples, device, workers
        self._kept: list[Example] | None = None
        if sum(tensor.numel() for tensor in examples[0] if tensor is not None) * len(examples) <= _MEMORY_BYTES:
            self._kept = [examples[index].to(device) for index in range(len(examples))]

    def pixels_per_class(self) -> Tensor:
        """K int64 counts over the split. Reads it once where it is not kept."""
        counts = torch.zeros(256, dtype=torch.int64)
        for example in self._kept or (self.examples[index] for index in range(len(self.examples.dataset))):
            counts += torch.bincount(example.label.flatten(), minlength=256).cpu()
        return counts[: len(self.examples.dataset.classes)]

    def run(self, sampler: RunSampler) -> Generator[list[Example], None, None]:
        """Examples on the device, a list for each list of `sampler`. Raises InputError as reading.

        Where threads read ahead, close it: they end then.
        """
        if self._kept is not None:
            for indices in sampler:
                yield [self._kept[index] for index in indices]
            return
        # Threads, not processes: decoding leaves Python's lock, and shared memory, of which containers have little,
        # is not needed.
        ahead = ordered_map(self._read, sampler, self.workers) if self.workers else map(self._read, sampler)
        with closing(ahead) if isinstance(ahead, Generator) else nullcontext():
            for examples in ahead:
                yield [example.to(self.device) for example in examples]

    def _read(self, indices: list[int]) -> list[Example]:
        examples = [self.examples[index] for index in indices]
        return [example.pinned() for example in examples] if self.device.type == "cuda" else examples
