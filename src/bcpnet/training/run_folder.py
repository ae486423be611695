"""The folder of a run: what is written there, and when."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightning_fabric.loggers.tensorboard import TensorBoardLogger

from bcpnet.data.base import Dataset
from bcpnet.media.images import save_image
from bcpnet.metadata import Metadata
from bcpnet.networks.checkpoint import save_checkpoint
from bcpnet.storage.files import real_path, remove_left_behind, write_bytes
from bcpnet.training.history import read_history, record
from bcpnet.training.module import Trained
from bcpnet.training.recipe import Recipe
from bcpnet.training.samples import clear_samples, draw_samples, samples_path
from bcpnet.training.trained_on import trained_on
from bcpnet.training.validate import Validation

SOFT_LABELS = "soft_labels.npy"
_FILES = ("recipe.json", "history.jsonl", "best.safetensors", "last.safetensors", "state.pt", SOFT_LABELS)


def open_run(recipe: Recipe, run: Path, resume: bool) -> None:
    """Makes the folder, writes recipe.json, clears what a killed run left.

    Raises InputError where that cannot be, or where the history that is there is damaged.
    """
    write_bytes(run / "recipe.json", recipe.to_json().encode())
    remove_left_behind(run, sorted({Path(name).suffix for name in _FILES}))
    if resume:
        read_history(run)  # that it is damaged is told now, not at the end of an epoch
    else:  # a run killed before it saved a state may have left its history
        (run / "history.jsonl").unlink(missing_ok=True)
    clear_samples(run, resume)


def metadata_of(recipe: Recipe, train: Dataset, step: int, chosen_on: str = "") -> Metadata:
    """What goes into a checkpoint after `step` steps; `chosen_on` is the split it is the best on, if it was chosen."""
    per_epoch = recipe.steps_per_epoch(len(train))
    done = f"step {step} of {per_epoch * recipe.epochs} (epoch {step // per_epoch} of {recipe.epochs})"
    initial = "random weights" if recipe.pretrained == "none" else _short(recipe.pretrained)
    return Metadata(
        network=recipe.network,
        options=recipe.options,
        classes=train.classes,
        short_side=recipe.short_side,
        provenance=(
            f"{recipe.dataset} {recipe.train_split}, {len(train)} images, from {initial}; {done}, seed {recipe.seed}"
            + ("" if recipe.unlabelled == "none" else f", {real_path(Path(recipe.unlabelled)).name} without labels")
            + ("" if recipe.teacher == "none" else f", teacher {' and '.join(map(_short, recipe.teacher.split(',')))}")
            + (f", chosen on {chosen_on}" if chosen_on else "")
        ),
        licence="unstated; the terms of the training data and of the initial weights apply",
        trained_on=trained_on(recipe, train.classes),
    )


def _short(weights: str) -> str:
    """Weights without the path of this machine; of those in a run, the run's name too."""
    path = Path(weights)
    return "/".join(path.parts[-2:]) if path.name in _FILES else path.name


def data_of(train: Dataset) -> str:
    """What a run must find again when it goes on."""
    return f"{len(train)} images of the classes {', '.join(train.classes.names)}"


def save(run: Path, trained: Trained, metadata: Metadata, data: str) -> None:
    """Writes last.safetensors and state.pt. Raises InputError where that cannot be.

    The state comes last: whatever kills the process in between, resuming repeats the steps and writes both again.
    """
    save_checkpoint(run / "last.safetensors", trained.evaluated, metadata)
    trained.save(run / "state.pt", data)


def end_epoch(
    run: Path, trained: Trained, recipe: Recipe, train: Dataset, logger: TensorBoardLogger, lr: float,
    evaluated: Validation | None,
) -> None:  # fmt: skip
    """Logs an epoch, if it was evaluated its scores and sample pictures, and keeps the weights if they are the best.

    Args:
        run: the folder.
        trained: at the end of an epoch.
        recipe: of the run.
        train: the training split.
        logger: shows the curves.
        lr: learning rate of the last step.
        evaluated: the scores and samples, or None if it was not evaluated.

    Raises:
        InputError: a file cannot be written.
    """
    line: dict[str, Any] = {"loss": trained.loss_sum / trained.loss_steps, "lr": lr}
    curves = {"train/loss": line["loss"], "lr": lr}
    better = False
    trained.clear_losses()
    if evaluated is not None:
        miou, iou = evaluated.scores.miou, evaluated.scores.iou
        assert miou is not None
        better = miou > trained.best_miou
        trained.best_miou = max(miou, trained.best_miou)
        line |= {"miou": miou, "iou": iou}
        shares = {"val/miou": miou, **{f"val/iou/{name}": value for name, value in iou.items() if value is not None}}
        curves |= {name: 100 * share for name, share in shares.items()}  # people read percent; history.jsonl has shares
    if not trained.fabric.is_global_zero:
        return
    epoch = trained.step // recipe.steps_per_epoch(len(train))
    logger.log_metrics(curves, trained.step)
    if evaluated is not None:
        sheet = draw_samples(evaluated.samples, train.classes)
        logger.experiment.add_image("val/samples", sheet, trained.step, dataformats="HWC")
        save_image(samples_path(run, epoch), sheet)
    record(run, {"step": trained.step, "epoch": epoch, **line, "seconds": round(trained.seconds, 1)})
    if better:
        best = metadata_of(recipe, train, trained.step, chosen_on=recipe.val_split)
        save_checkpoint(run / "best.safetensors", trained.evaluated, best)
