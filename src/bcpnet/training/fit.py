"""The training loop. Everything random is a function of (seed, step): an interrupted run resumes bit by bit."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from lightning_fabric.loggers.tensorboard import TensorBoardLogger
from torch import Tensor

from bcpnet.checkpoint import save_checkpoint
from bcpnet.data.base import Dataset
from bcpnet.errors import InputError, UsageError
from bcpnet.files import write_bytes
from bcpnet.metadata import Metadata
from bcpnet.metrics import ConfusionMatrix
from bcpnet.preprocess import network_size_hw, preprocess
from bcpnet.training.augment import augment, normalise
from bcpnet.training.batches import Batches, RunSampler, collate, mix, steps_per_epoch
from bcpnet.training.losses import class_weights, training_loss
from bcpnet.training.module import Trained, learning_rate, make_network
from bcpnet.training.recipes import Recipe
from bcpnet.upsample import upsample_argmax


class RunInterruptedError(Exception):
    """Ctrl-C or SIGTERM: the run was saved and can be resumed."""


@dataclass(frozen=True)
class Progress:
    """Where a run is.

    Attributes:
        step, steps: optimizer steps done and in all.
        epoch, epochs: passes finished and in all.
        loss: of the last step.
        miou: of the last evaluation, None before the first.
        images_per_s: since this process began, evaluation included.
        eta_s: seconds to go at that pace.
    """

    step: int
    steps: int
    epoch: int
    epochs: int
    loss: float
    miou: float | None
    images_per_s: float
    eta_s: float


def fit(
    recipe: Recipe,
    train: Dataset,
    val: Dataset | None,
    run: Path,
    *,
    resume: bool = False,
    devices: int = 1,
    accelerator: str = "auto",
    report: Callable[[Progress], None] = lambda _: None,
) -> None:
    """Trains `recipe` and leaves in folder `run`:

    recipe.json, last.safetensors (the weights at the end), best.safetensors (those with the best mIoU on `val`: never
    report that split for them), history.jsonl (one line per evaluation), TensorBoard files, state.pt (to resume).

    Args:
        recipe: what to train.
        train: the training split.
        val: the split evaluated on while training, or None.
        run: folder for the results.
        resume: go on from `run`/state.pt.
        devices: how many; above 1, one process each (DDP).
        accelerator: "auto", "cpu" or "cuda".
        report: called after every step.

    Raises:
        UsageError: `run` already holds a run and `resume` is not set, or it was started with another recipe.
        InputError: unreadable data, weights or state; a folder that cannot be written.
        RunInterruptedError: Ctrl-C or SIGTERM arrived; the state has been saved.
    """
    _check_run(recipe, run, resume)
    logger = TensorBoardLogger(run, name="tensorboard", version="")
    fabric = Fabric(accelerator=accelerator, devices=devices, precision=recipe.precision, loggers=logger)
    fabric.launch()
    if recipe.batch % (recipe.micro_batch * fabric.world_size):
        raise UsageError(
            f"batch {recipe.batch} is not a multiple of micro-batch {recipe.micro_batch} x {fabric.world_size} devices"
        )
    if fabric.is_global_zero:
        write_bytes(run / "recipe.json", recipe.to_json().encode())

    batches = Batches(train, recipe.short_side, fabric.device, recipe.workers)
    per_epoch = steps_per_epoch(len(train), recipe.batch)
    steps = per_epoch * recipe.epochs
    trained = Trained(recipe, make_network(recipe, len(train.classes), _calibration_images(batches)).to(fabric.device))
    if resume:
        trained.load(run / "state.pt")
    if trained.average is not None:
        trained.average.to(fabric.device)
    weights = class_weights(batches.pixels_per_class(len(train.classes)), recipe.class_weights)
    weights = None if weights is None else weights.to(fabric.device)
    network, optimizer = fabric.setup(trained.network, trained.optimizer)
    if hasattr(trained.network, "forward_with_auxiliary"):
        network.mark_forward_method("forward_with_auxiliary")
    metadata = _metadata(recipe, train)

    sampler = RunSampler(
        len(train),
        recipe.batch,
        recipe.micro_batch,
        range(trained.step, steps),
        recipe.seed,
        fabric.global_rank,
        fabric.world_size,
    )
    accumulate = recipe.batch // (recipe.micro_batch * fabric.world_size)
    feed = batches.run(sampler)
    began, first, saved = time.monotonic(), trained.step, time.monotonic()
    miou = None
    with _interrupts() as interrupted:
        while trained.step < steps:
            step = trained.step
            network.train()
            lr = learning_rate(recipe, step, steps)
            for group in optimizer.param_groups:
                group["lr"] = lr
            # Dropout and the like draw from the global generator, augmentation from its own.
            torch.manual_seed(mix(recipe.seed, step, fabric.global_rank))
            generator = torch.Generator(fabric.device).manual_seed(mix(recipe.seed, step, fabric.global_rank, 1))
            loss = torch.zeros((), device=fabric.device)
            for part, (images, labels) in enumerate(islice(feed, accumulate)):
                inputs, targets = augment(
                    images,
                    labels,
                    crop_hw=(recipe.crop_h, recipe.crop_w),
                    scale=(recipe.scale_min, recipe.scale_max),
                    flip=recipe.flip,
                    jitter=recipe.jitter,
                    generator=generator,
                )
                with fabric.no_backward_sync(network, enabled=part < accumulate - 1):
                    partial = training_loss(network, inputs, targets, weights, recipe.ohem, recipe.aux_weight)
                    fabric.backward(partial / accumulate)
                loss += partial.detach() / accumulate
            optimizer.step()
            optimizer.zero_grad()
            if trained.average is not None:
                trained.average.update_parameters(trained.network)
            trained.step = step + 1

            epoch = trained.step // per_epoch
            ended = trained.step == steps
            if val is not None and (ended or (trained.step % per_epoch == 0 and epoch % recipe.eval_epochs == 0)):
                miou = _evaluate(fabric, trained, val, recipe.short_side)
                _record(fabric, run, trained, metadata, miou, float(loss), lr, epoch, time.monotonic() - began)
            pace = (time.monotonic() - began) / (trained.step - first)
            report(
                Progress(
                    trained.step, steps, epoch, recipe.epochs, float(loss), miou, recipe.batch / pace,
                    pace * (steps - trained.step),
                )
            )  # fmt: skip
            if fabric.is_global_zero and (ended or interrupted() or time.monotonic() - saved > recipe.save_seconds):
                trained.save(run / "state.pt")
                save_checkpoint(run / "last.safetensors", trained.evaluated, metadata)
                saved = time.monotonic()
            if interrupted() and not ended:
                raise RunInterruptedError(f"stopped at step {trained.step} of {steps}; saved in {run}")
    logger.finalize("success")


def _check_run(recipe: Recipe, run: Path, resume: bool) -> None:
    saved = run / "recipe.json"
    if not resume:
        if (run / "state.pt").exists():
            raise UsageError(f"{run} already holds a run: add --resume to go on, or choose another --out")
        return
    if not saved.is_file():
        raise UsageError(f"{run}: no run to resume")
    before, now = json.loads(saved.read_text()), json.loads(recipe.to_json())
    changed = [f"{key} was {before.get(key)!r}, now {now[key]!r}" for key in now if before.get(key) != now[key]]
    if changed:
        raise UsageError(f"{run} was started with another recipe: {'; '.join(changed)}")


def _calibration_images(batches: Batches) -> Tensor:
    """A few training images, the same in every run."""
    chosen = np.linspace(0, len(batches.samples) - 1, 16).astype(int)
    images, _ = collate([batches.samples[int(index)] for index in chosen])
    return normalise(images)


def _metadata(recipe: Recipe, train: Dataset) -> Metadata:
    initial = "random weights" if recipe.pretrained == "none" else Path(recipe.pretrained).name
    return Metadata(
        network=recipe.network,
        options=recipe.options,
        classes=train.classes,
        short_side=recipe.short_side,
        provenance=(
            f"{recipe.dataset} {recipe.train_split}, {len(train)} images, {recipe.epochs} epochs from {initial}"
        ),
        licence="unstated; the terms of the training data and of the initial weights apply",
    )


def _evaluate(fabric: Fabric, trained: Trained, val: Dataset, short_side: int) -> float:
    """MIoU on `val`, its images dealt to the devices; the definition of DESIGN, section 6."""
    network = trained.evaluated
    network.eval()
    confusion = ConfusionMatrix(len(val.classes))
    for index in range(fabric.global_rank, len(val), fabric.world_size):
        image, label, name = val[index]
        if label is None:
            raise InputError(f"{name}: has no label, cannot evaluate on it")
        inputs = torch.from_numpy(preprocess(image, network_size_hw((image.shape[0], image.shape[1]), short_side)))
        with torch.inference_mode():
            logits = network(inputs.to(fabric.device, memory_format=torch.channels_last))[0]
        confusion.update(label, upsample_argmax(logits.float().cpu().numpy(), (label.shape[0], label.shape[1])))
    matrix = torch.from_numpy(confusion.counts).to(fabric.device)
    reduced = fabric.all_reduce(matrix, reduce_op="sum")
    assert isinstance(reduced, Tensor)
    confusion.counts[:] = reduced.cpu().numpy()
    return confusion.mean_iou()


def _record(
    fabric: Fabric, run: Path, trained: Trained, metadata: Metadata, miou: float, loss: float, lr: float, epoch: int,
    seconds: float,
) -> None:  # fmt: skip
    """Adds a line to history.jsonl and TensorBoard; keeps the best weights."""
    better = miou > trained.best_miou
    trained.best_miou = max(miou, trained.best_miou)
    if not fabric.is_global_zero:
        return
    fabric.log_dict({"val/miou": miou, "train/loss": loss, "lr": lr}, step=trained.step)
    line = {"step": trained.step, "epoch": epoch, "miou": miou, "loss": loss, "lr": lr, "seconds": round(seconds, 1)}
    history = run / "history.jsonl"
    lines = history.read_text().splitlines() if history.exists() else []
    # A resumed run repeats the evaluations after its last saved state.
    kept = [old for old in lines if json.loads(old)["step"] < trained.step]
    write_bytes(history, "".join(f"{text}\n" for text in [*kept, json.dumps(line)]).encode())
    if better:
        save_checkpoint(run / "best.safetensors", trained.evaluated, metadata)


@contextmanager
def _interrupts() -> Iterator[Callable[[], bool]]:
    """Turns the first Ctrl-C or SIGTERM into a flag; a second one acts as usual."""
    arrived: list[int] = []
    before: dict[int, Any] = {}

    def handle(number: int, frame: object) -> None:
        del frame
        arrived.append(number)
        signal.signal(number, before[number])

    for signum in (signal.SIGINT, signal.SIGTERM):
        before[signum] = signal.signal(signum, handle)
    try:
        yield lambda: bool(arrived)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
