"""The scores of the validation split while training, over all devices; a signal ends it early."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from bcpnet.data.base import Dataset, Sample
from bcpnet.errors import InputError
from bcpnet.frames.preprocess import network_size_hw, preprocess
from bcpnet.frames.upsample import upsample_argmax
from bcpnet.metrics import ConfusionMatrix, Scores
from bcpnet.networks.frames import normalise
from bcpnet.pipeline import ordered_map
from bcpnet.training.batches import label_of
from bcpnet.training.module import Trained
from bcpnet.training.processes import any_process

_MOST_SAMPLES = 4


class Seen(NamedTuple):
    """A sample, and what the network saw in it: an H x W uint8 class map of the label's size."""

    sample: Sample
    class_map: npt.NDArray[np.uint8]


class Validation(NamedTuple):
    """What an evaluation tells.

    Attributes:
        scores: of the whole split; `miou` is never None.
        samples: a few, spread over the split, the same each time; of those that this process evaluated.
    """

    scores: Scores
    samples: list[Seen]


def validate(trained: Trained, val: Dataset, short_side: int, interrupted: Callable[[], bool]) -> Validation | None:
    """Scores `val` as `bcpnet.evaluation` does, its images dealt to the devices.

    Returns None, in every process, once `interrupted` tells any of them to stop. Raises InputError for a broken sample.
    """
    fabric, network = trained.fabric, trained.evaluated.eval()
    if fabric.world_size > 1:  # the first device's batch norm statistics are the ones that get saved
        for buffer in network.buffers():
            buffer.copy_(fabric.broadcast(buffer))
    confusion = ConfusionMatrix(len(val.classes))
    own = range(fabric.global_rank, len(val), fabric.world_size)
    shown = {own[round(place)] for place in np.linspace(0, len(own) - 1, _MOST_SAMPLES)} if own else set()
    kept = []
    with closing(ordered_map(val.__getitem__, own)) as samples:
        for start in range(0, len(val), fabric.world_size):
            if any_process(fabric, interrupted()):
                return None
            index = start + fabric.global_rank
            if index < len(val):
                sample = next(samples)
                class_map = _count(confusion, sample, fabric, network, short_side)
                if index in shown:
                    kept.append(Seen(sample, class_map))
    counts = fabric.all_reduce(torch.from_numpy(confusion.counts).to(fabric.device), reduce_op="sum")
    assert isinstance(counts, Tensor)
    confusion.counts[:] = counts.cpu().numpy()
    scores = confusion.scores(val.classes.names)
    if scores.miou is None:
        raise InputError("no pixel of the validation split has a label that counts")
    return Validation(scores, kept)


def _count(
    confusion: ConfusionMatrix, sample: Sample, fabric: Fabric, network: nn.Module, short_side: int
) -> npt.NDArray[np.uint8]:
    """Adds a sample to `confusion`; its class map."""
    label = label_of(sample, len(confusion.counts))
    size_hw = network_size_hw((sample.image.shape[0], sample.image.shape[1]), short_side)
    frame = torch.from_numpy(preprocess(sample.image, size_hw)).to(fabric.device)
    with torch.inference_mode():
        logits = network(normalise(frame.permute(2, 0, 1)[None]))[0]
    class_map = upsample_argmax(logits.float().cpu().numpy(), (label.shape[0], label.shape[1]))
    confusion.update(label, class_map)
    return class_map
