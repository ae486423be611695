"""The folder of a run: recipe.json, history.jsonl, best.safetensors, last.safetensors, state.pt, TensorBoard files."""

from __future__ import annotations

import json
from pathlib import Path

from lightning_fabric.loggers.tensorboard import TensorBoardLogger

from bcpnet.data.base import Dataset
from bcpnet.errors import InputError, UsageError
from bcpnet.metadata import Metadata
from bcpnet.networks.checkpoint import save_checkpoint
from bcpnet.storage.files import write_bytes
from bcpnet.training.module import Trained
from bcpnet.training.recipes import Recipe

SOFT_LABELS = "soft_labels.npy"
_FILES = ("recipe.json", "history.jsonl", "best.safetensors", "last.safetensors", "state.pt", SOFT_LABELS)


def check_run(recipe: Recipe, run: Path, resume: bool) -> None:
    """Raises UsageError unless `recipe` can start in folder `run` or, with `resume`, go on there."""
    if not resume:
        if (run / "state.pt").exists():
            raise UsageError(f"{run} already holds a run: add --resume to go on, or choose another --out")
        if (run / "last.safetensors").exists():
            raise UsageError(f"{run} holds the weights of a run: choose another --out, or remove them")
        return
    saved = run / "recipe.json"
    if not saved.is_file():
        raise UsageError(f"{run}: no run to resume")
    try:
        before = dict(json.loads(saved.read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{saved}: cannot be read: {error}") from error
    now = json.loads(recipe.to_json())
    changed = [f"{key} was {before.get(key)!r}, now {now[key]!r}" for key in now if before.get(key) != now[key]]
    if changed:
        raise UsageError(f"{run} was started with another recipe: {'; '.join(changed)}")


def open_run(recipe: Recipe, run: Path, resume: bool) -> None:
    """Makes the folder, writes recipe.json, clears what a killed run left. Raises InputError where that cannot be."""
    write_bytes(run / "recipe.json", recipe.to_json().encode())
    for name in _FILES:  # the temporary names of files.atomic_path
        for temporary in run.glob(f".{Path(name).stem}.{'[0-9a-f]' * 8}{Path(name).suffix}"):
            temporary.unlink(missing_ok=True)
    if not resume:  # a run killed before it saved a state may have left its history
        (run / "history.jsonl").unlink(missing_ok=True)


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
            + ("" if recipe.unlabelled == "none" else f", {Path(recipe.unlabelled).resolve().name} without labels")
            + ("" if recipe.teacher == "none" else f", teacher {' and '.join(map(_short, recipe.teacher.split(',')))}")
            + (f", chosen on {chosen_on}" if chosen_on else "")
        ),
        licence="unstated; the terms of the training data and of the initial weights apply",
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
    miou: float | None,
) -> None:  # fmt: skip
    """Logs an epoch, its score if it was evaluated, and keeps the weights if they are the best so far.

    Args:
        run: the folder.
        trained: at the end of an epoch.
        recipe: of the run.
        train: the training split.
        logger: shows the curves.
        lr: learning rate of the last step.
        miou: the score, or None if it was not evaluated.

    Raises:
        InputError: a file cannot be written.
    """
    line = {"loss": trained.loss_sum / trained.loss_steps, "lr": lr}
    curves = {"train/loss": line["loss"], "lr": lr}
    better = miou is not None and miou > trained.best_miou
    trained.clear_losses()
    if miou is not None:
        trained.best_miou = max(miou, trained.best_miou)
        line["miou"] = curves["val/miou"] = miou
    if not trained.fabric.is_global_zero:
        return
    logger.log_metrics(curves, trained.step)
    epoch = trained.step // recipe.steps_per_epoch(len(train))
    record(run, {"step": trained.step, "epoch": epoch, **line, "seconds": round(trained.seconds, 1)})
    if better:
        best = metadata_of(recipe, train, trained.step, chosen_on=recipe.val_split)
        save_checkpoint(run / "best.safetensors", trained.evaluated, best)


def record(run: Path, line: dict[str, float]) -> None:
    """Adds a line to history.jsonl, in place of those that a resumed run repeats. Raises InputError where it cannot.

    Args:
        run: the folder.
        line: one epoch; "step" orders them.
    """
    history = run / "history.jsonl"
    lines = history.read_text().splitlines() if history.exists() else []
    kept = [old for old in lines if json.loads(old)["step"] < line["step"]]
    write_bytes(history, "".join(f"{text}\n" for text in [*kept, json.dumps(line)]).encode())
