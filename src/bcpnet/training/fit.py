"""The training loop. Everything random is a function of (seed, step): an interrupted run resumes bit by bit."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import closing, nullcontext
from dataclasses import dataclass
from pathlib import Path

from lightning_fabric import Fabric
from lightning_fabric.loggers.tensorboard import TensorBoardLogger
from lightning_fabric.utilities.exceptions import MisconfigurationException

from bcpnet.data.base import Dataset
from bcpnet.data.files import FileDataset
from bcpnet.data.unlabelled import Unlabelled
from bcpnet.errors import UsageError
from bcpnet.storage.folder_lock import folder_lock
from bcpnet.training.batches import Batches, Examples, RunSampler
from bcpnet.training.initial_weights import calibration_images, make_network
from bcpnet.training.interrupts import interrupts
from bcpnet.training.losses import class_weights
from bcpnet.training.module import Trained, learning_rate
from bcpnet.training.processes import any_process, clear_failures
from bcpnet.training.recipe import Recipe
from bcpnet.training.resume import check_run
from bcpnet.training.run_folder import SOFT_LABELS, data_of, end_epoch, metadata_of, open_run, save
from bcpnet.training.soft_labels import soft_labels_of
from bcpnet.training.step import optimizer_step
from bcpnet.training.validate import validate

_REPORT_S = 0.5  # between reports from a GPU


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
    report that split for them), history.jsonl (one line per epoch), samples/ (a sheet of pictures per evaluation),
    TensorBoard files, state.pt (to resume).

    Args:
        recipe: what to train.
        train: the training split.
        val: the split evaluated on while training, or None.
        run: folder for the results.
        resume: go on from `run`/state.pt.
        devices: how many; above 1, one process each (DDP), in which the calling script runs again from its start as
            far as here. Only the first process returns; the others end.
        accelerator: "auto", "cpu" or "cuda".
        report: called in the first process, on a CPU after every step, on a GPU every half second and after epochs.

    Raises:
        UsageError: `run` already holds a run and `resume` is not set, it was started with another recipe, or another
            training writes there; the recipe requires pre-trained weights or a teacher and has none; `val` holds
            images of `train`; a single class; devices that are not there.
        InputError: unreadable data, weights or state; a state of other data; a loss that is no finite number; a folder
            that cannot be written; memory that does not suffice; another process that failed.
        RunInterruptedError: Ctrl-C or SIGTERM arrived; the state has been saved.
    """
    if recipe.pretrained == "required":
        raise UsageError('the recipe wants pre-trained encoder weights: name their file, or "none" for random ones')
    if recipe.teacher == "required":
        raise UsageError('the recipe wants a teacher: name its weights, or "none" to do without')
    if recipe.unlabelled == "required":
        raise UsageError("the recipe wants images without labels: name their folder")
    recipe = recipe.with_absolute_paths()
    check_run(recipe, run, resume)
    _check_data(train, val)
    fabric = _launch(recipe, devices, accelerator)
    with clear_failures(fabric), folder_lock(run, "training") if fabric.is_global_zero else nullcontext():
        if fabric.is_global_zero:  # by now another training may have been there
            check_run(recipe, run, resume)
        trained = _train(fabric, recipe, train, val, run, resume, report)
    if not fabric.is_global_zero:
        raise SystemExit(0)
    steps = recipe.epochs * recipe.steps_per_epoch(len(train))
    if trained.step < steps or trained.loss_steps:
        raise RunInterruptedError(f"stopped at step {trained.step} of {steps}; saved in {run}")


def _train(
    fabric: Fabric, recipe: Recipe, train: Dataset, val: Dataset | None, run: Path, resume: bool,
    report: Callable[[Progress], None],
) -> Trained:  # fmt: skip
    """The run in one process, until its end or a signal: arguments as of `fit`."""
    calibration = None if resume else calibration_images(Examples(train, recipe.short_side), recipe)
    network = make_network(recipe, train.classes, calibration)
    unlabelled = None if recipe.unlabelled == "none" else Unlabelled(Path(recipe.unlabelled), train.classes)
    soft = soft_labels_of(fabric, recipe, unlabelled or train, run / SOFT_LABELS, resume)
    if fabric.is_global_zero:  # after what may refuse the run
        open_run(recipe, run, resume)
    batches = Batches(Examples(train, recipe.short_side, soft, unlabelled), fabric.device, recipe.workers)
    trained = Trained(fabric, recipe, network)
    if resume:
        trained.load(run / "state.pt", data_of(train))
    weights = None
    if recipe.class_weights != "none":
        weights = class_weights(batches.pixels_per_class(), recipe.class_weights).to(fabric.device)

    per_epoch = recipe.steps_per_epoch(len(train))
    steps = per_epoch * recipe.epochs
    ahead = range(trained.step, steps)
    feed = batches.run(
        RunSampler(
            len(train),
            recipe.batch,
            recipe.images_at_once(fabric.world_size),
            ahead,
            recipe.seed,
            fabric.global_rank,
            fabric.world_size,
            unlabelled=len(unlabelled or ()),
            unlabelled_batch=recipe.unlabelled_batch,
        )
    )
    # A signal that came during an evaluation has left the last step of an epoch without its line.
    first = ahead.start - (trained.loss_steps > 0 and ahead.start % per_epoch == 0)
    # What a killed run logged after its last state comes again; TensorBoard shall not show it twice.
    logger = TensorBoardLogger(run, name="tensorboard", version="", purge_step=first + 1)
    began = saved = reported = time.monotonic()
    earlier = trained.seconds
    miou = None
    try:
        with closing(feed), interrupts() as interrupted:
            for step in range(first, steps):
                if step in ahead:
                    trained.end_step(optimizer_step(trained, recipe, feed, learning_rate(recipe, step, steps), weights))
                epoch, left = trained.step // per_epoch, steps - trained.step
                ends_epoch = trained.step % per_epoch == 0
                if ends_epoch:
                    trained.require_finite()
                evaluates = val is not None and ends_epoch and (left == 0 or epoch % recipe.eval_epochs == 0)
                evaluated = None
                if val is not None and evaluates:
                    evaluated = validate(trained, val, recipe.short_side, interrupted)
                    miou = miou if evaluated is None else evaluated.scores.miou
                trained.seconds = earlier + time.monotonic() - began
                if ends_epoch and (not evaluates or evaluated is not None):
                    end_epoch(run, trained, recipe, train, logger, learning_rate(recipe, step, steps), evaluated)
                # Reading the loss waits for a GPU that is steps behind, and lets it run dry.
                reports = fabric.device.type == "cpu" or ends_epoch or time.monotonic() - reported > _REPORT_S
                if fabric.is_global_zero and step in ahead and reports:
                    pace = (time.monotonic() - began) / (trained.step - ahead.start)
                    report(
                        Progress(
                            trained.step, steps, epoch, recipe.epochs, trained.last_loss, miou, recipe.batch / pace,
                            pace * left,
                        )
                    )  # fmt: skip
                    reported = time.monotonic()
                stop = any_process(fabric, interrupted())
                due = left == 0 or stop or time.monotonic() - saved > recipe.save_seconds
                if due and fabric.is_global_zero:
                    trained.require_finite()
                    save(run, trained, metadata_of(recipe, train, trained.step), data_of(train))
                    saved = time.monotonic()
                if stop:
                    break
    finally:
        logger.finalize("")
    return trained


def _check_data(train: Dataset, val: Dataset | None) -> None:
    """Raises UsageError where a score would mean nothing: of a single class, or of images that are trained on."""
    if len(train.classes) < 2:
        raise UsageError(
            f"one class, {train.classes.names[0]}: there is nothing to tell it from; name what else there is"
        )
    if isinstance(train, FileDataset) and isinstance(val, FileDataset):
        both = {item.image for item in train.items} & {item.image for item in val.items}
        if both:
            raise UsageError(
                f"{len(both)} of the {len(val)} images of val-split are in train-split, too: the score would mean "
                "nothing; choose another, or --val-split none"
            )


def _launch(recipe: Recipe, devices: int, accelerator: str) -> Fabric:
    """Starts a process for each device."""
    if devices < 1:
        raise UsageError(f"cannot train on {devices} x {accelerator}: need at least 1 device")
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # else a banner for several processes
    try:
        fabric = Fabric(accelerator=accelerator, devices=devices, precision=recipe.precision)
    except (RuntimeError, ValueError, MisconfigurationException) as error:
        raise UsageError(f"cannot train on {devices} x {accelerator}: {str(error).splitlines()[0]}") from error
    fabric.launch()
    recipe.images_at_once(fabric.world_size)  # raises UsageError where the batch cannot be shared
    return fabric
